/** QEMU's boot ROMs (iPXE) get a lease from each server: a client that asks for it, and never renews. */
import { suite, test } from "node:test";
import { Cable } from "../lab/harness/cable.ts";
import { until } from "../lab/harness/program.ts";
import { versionOf } from "../lab/harness/real-clients.ts";
import { ALL_SERVER_KINDS, DhcpServer } from "../lab/harness/servers.ts";
import { assertInnocent } from "../lab/harness/softnet.ts";
import { leaseOf } from "../lab/harness/states.ts";
import { BRIDGE, Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import { note, noteAt } from "./results.ts";

const MAC = "7e:1a:00:00:00:01";
const ACK = 5;

suite("boot ROMs", { concurrency: 2 }, () => {
  for (const card of ["e1000", "virtio-net-pci"] as const) {
    for (const kind of ALL_SERVER_KINDS) {
      test(`QEMU's ROM for ${card} binds at ${kind}`, {
        ...labNeeds("qemu-system-x86_64", kind),
        ...LIMIT,
      }, async (t) => {
        const lab = Lab.open(t);
        await DhcpServer.start(lab, kind, { lease: leaseOf(kind) });
        const bridge = await lab.watch(lab.host, BRIDGE);
        const args = ["--vm-fd", "{vm}", "--vm-mac-address", MAC, "--bridge", BRIDGE];
        const cable = Cable.start(lab, lab.host, args, { vm: true });
        await cable.softnet.ready();
        const machine = ["-M", "pc", "-accel", "tcg", "-m", "64", "-nodefaults", "-boot", "n"];
        const silence = ["-display", "none", "-serial", "none", "-monitor", "none"];
        const network = [
          "-netdev",
          "dgram,id=n0,local.type=fd,local.str={vm}",
          "-device",
          `${card},netdev=n0,mac=${MAC}`,
        ];
        const from = performance.now();
        await cable.run("qemu", ["qemu-system-x86_64", ...machine, ...silence, ...network]);
        await bridge.until("the ROM's lease", ({ dhcp }) => dhcp?.type === ACK && dhcp.chaddr === MAC);
        await until("softnet learns it", () =>
          cable.softnet.records.some(({ message }) => message === "binding learned"),
        );
        const after = Math.round((performance.now() - from) / 1000);
        note((results) => {
          noteAt(results.roms, card, kind, { by: "INIT", after });
          results.versions["QEMU's ROMs"] = versionOf(["dpkg-query", "-W", "ipxe-qemu"]);
        });
        await cable.stop("qemu");
        cable.close("vm");
        assertInnocent(await cable.softnet.ended(), "ipv4.unbound", "arp.sender-address");
      });
    }
  }
});
