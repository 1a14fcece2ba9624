/**
 * A machine that is paused for longer than its lease, as a hypervisor does it: nothing in it runs, and its clock stands
 * still. Its own renewal, which is late without its knowing, is enough to be online again; before that, nothing leaves it.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { suite, test } from "node:test";
import { Cable } from "../lab/harness/cable.ts";
import { sleep, until } from "../lab/harness/program.ts";
import { DhcpServer } from "../lab/harness/servers.ts";
import { assertInnocent } from "../lab/harness/softnet.ts";
import { assertClosedUntilConfirmed, confirmation } from "../lab/harness/states.ts";
import { BRIDGE, GATEWAY, Lab, labNeeds } from "../lab/harness/topology.ts";
import { HEADLESS, KERNEL_ARGUMENTS } from "../lab/qemu/desk.ts";
import { kernel, needsKernel } from "../lab/qemu/kernel.ts";
import { ONLINE, SLEEPERS, sleeper } from "../lab/qemu/sleeper.ts";
import { LIMIT } from "../support/patience.ts";
import { note, noteAt } from "./results.ts";

const MAC = "7e:1a:00:00:00:01";
/** On a busy machine an emulated timer may seem dead to a kernel that looks for it. */
const PATIENT = "no_timer_check";
/** Seconds; dnsmasq gives no shorter lease. */
const LEASE = 120;

suite("machines that sleep", { concurrency: 2 }, () => {
  for (const client of SLEEPERS) {
    test(`G3 ${client.name} in a paused machine renews late at dnsmasq, and is online by that`, {
      ...needsKernel(),
      ...labNeeds("qemu-system-x86_64", "busybox", "dnsmasq", client.tool),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      // Authoritative, or it refuses a lease that it has forgotten.
      await DhcpServer.start(lab, "dnsmasq", { lease: LEASE, renewal: 30, rebinding: 60, authoritative: true });
      const bridge = await lab.watch(lab.host, BRIDGE);
      const args = ["--vm-fd", "{vm}", "--vm-mac-address", MAC, "--bridge", BRIDGE];
      const cable = Cable.start(lab, lab.host, args, { vm: true });
      await cable.softnet.ready();

      const linux = kernel();
      const archive = join(lab.directory, "initramfs");
      writeFileSync(archive, sleeper(linux, client, GATEWAY));
      const control = join(lab.directory, "qmp");
      await cable.run("qemu", [
        ...["qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-m", "256", "-nodefaults", ...HEADLESS],
        ...["-kernel", linux.image, "-initrd", archive, "-append", `${KERNEL_ARGUMENTS} ${PATIENT}`],
        ...["-netdev", "dgram,id=n0,local.type=fd,local.str={vm}", "-device", `virtio-net-pci,netdev=n0,mac=${MAC}`],
        ...["-qmp", `unix:${control},server=on,wait=off`],
      ]);
      const echoes = () => cable.printed.filter((line) => ONLINE.test(line)).length;
      await until("the machine is online", () => echoes() > 0);

      await order(control, "stop");
      await sleep((LEASE + 5) * 1000);
      const before = echoes();
      const begin = bridge.frames.length;
      const from = performance.now();
      await order(control, "cont");
      const by = await confirmation(bridge, begin);
      assertClosedUntilConfirmed(bridge.frames.slice(begin), MAC);
      assert.match(by, /^(RENEWING|REBINDING|REBINDING from 0\.0\.0\.0)$/);
      await until("the machine is online again", () => echoes() > before);
      const after = Math.round((performance.now() - from) / 1000);
      note((results) => noteAt(results.paused, client.name, "dnsmasq", { by, after }));
      await cable.stop("qemu");
      cable.close("vm");
      assertInnocent(await cable.softnet.ended(), "ipv4.unbound", "arp.sender-address");
    });
  }
});

/** Gives QEMU's monitor an order (QMP) and waits until it has done it. */
async function order(path: string, execute: string): Promise<void> {
  const socket = connect(path);
  let text = "";
  socket.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  const answers = (count: number) => until("QEMU's monitor", () => text.split('"return"').length > count);
  socket.write('{"execute":"qmp_capabilities"}\n');
  await answers(1);
  socket.write(`{"execute":"${execute}"}\n`);
  await answers(2);
  socket.destroy();
}
