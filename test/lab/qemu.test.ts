/** A whole virtual machine without any image: QEMU's PXE ROM asks for a lease through `--vm-fd`, then a system boots. */
import assert from "node:assert/strict";
import test from "node:test";
import { Cable } from "./harness/cable.ts";
import { udhcpc } from "./harness/clients.ts";
import { Guest } from "./harness/guest.ts";
import { until } from "./harness/program.ts";
import { DhcpServer } from "./harness/servers.ts";
import { assertInnocent } from "./harness/softnet.ts";
import { BRIDGE, INTERNET, Lab, labNeeds, tool } from "./harness/topology.ts";

const LIMIT = { timeout: 120_000 };
const MAC = "7e:1a:00:00:00:01";
const DISCOVER = 1;
const ACK = 5;

for (const [server, card] of [
  ["dnsmasq", "virtio-net-pci"],
  ["dhcpd", "e1000"],
] as const) {
  test(`QEMU's PXE ROM for ${card} gets a lease from ${server}, then a system with another client identifier does (D2)`, {
    ...labNeeds("qemu-system-x86_64", "udhcpc", server),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, server);
    const bridge = await lab.watch(lab.host, BRIDGE);
    const args = ["--vm-fd", "{vm}", "--vm-mac-address", MAC, "--bridge", BRIDGE];
    const cable = Cable.start(lab, lab.host, args, { vm: true });
    await cable.softnet.ready();

    const machine = ["-M", "pc", "-accel", "tcg", "-m", "64", "-nodefaults", "-boot", "n"];
    const silence = ["-display", "none", "-serial", "none", "-monitor", "none"];
    const network = ["-netdev", "dgram,id=n0,local.type=fd,local.str={vm}", "-device", `${card},netdev=n0,mac=${MAC}`];
    await cable.run("qemu", ["qemu-system-x86_64", ...machine, ...silence, ...network]);
    await bridge.until("the ROM's lease", ({ dhcp }) => dhcp?.type === ACK && dhcp.chaddr === MAC, 60_000);
    await until("softnet learns it", () => cable.softnet.records.some(({ message }) => message === "binding learned"));
    await cable.stop("qemu");

    const guest = Guest.at(lab, lab.namespace("guest"), "vm0", MAC, cable.softnet);
    const python = ["ip", "netns", "exec", guest.namespace.name, "/usr/bin/python3"];
    await cable.run("system", [...python, tool("tapfd.py"), "vm0", MAC, "{vm}"]);
    await until("the system's card", () => guest.namespace.hasLink("vm0"));
    const client = udhcpc(guest, "-x", "0x3d:ff00000001000100012a5b3c4d7e1a00000001");
    await client.event(/bound/, 30_000);
    assert.ok(await guest.ping(INTERNET));
    const identifiers = bridge.frames
      .filter(({ dhcp }) => dhcp?.type === DISCOVER && dhcp.chaddr === MAC)
      .map(({ dhcp }) => dhcp?.clientIdentifier);
    assert.equal(new Set(identifiers).size, 2, "the system was to use another client identifier than the ROM");
    client.program.kill();
    await cable.stop("system");
    cable.close("vm");
    assertInnocent(await cable.softnet.ended());
  });
}
