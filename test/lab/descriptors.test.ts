/** softnet in the cable: `--vm-fd` as Tart and QEMU give it, and `--host-fd`, without any privilege. */
import assert from "node:assert/strict";
import test from "node:test";
import { LIMIT } from "../support/patience.ts";
import { needsReadable } from "../support/tools.ts";
import { Cable } from "./harness/cable.ts";
import { udhcpc } from "./harness/clients.ts";
import { Guest } from "./harness/guest.ts";
import { sleep, until } from "./harness/program.ts";
import { DhcpServer } from "./harness/servers.ts";
import { assertDropped, assertInnocent } from "./harness/softnet.ts";
import { BRIDGE, GATEWAY, INTERNET, Lab, labNeeds, tool } from "./harness/topology.ts";

const MAC = "7e:1a:00:00:00:01";
const NOBODY = 65534;

/** Puts a guest with the card `vm0` at the far end of softnet's `--vm-fd`. */
async function guestAt(lab: Lab, cable: Cable, name = "guest"): Promise<Guest> {
  const guest = Guest.at(lab, lab.namespace(name), "vm0", MAC, cable.softnet);
  await cable.run(name, [...inside(guest.namespace.name), tool("tapfd.py"), "vm0", MAC, "{vm}"]);
  await until("the guest's card", () => guest.namespace.hasLink("vm0"));
  return guest;
}

function inside(namespace: string): string[] {
  return ["ip", "netns", "exec", namespace, "/usr/bin/python3"];
}

async function bridged(lab: Lab, ...more: readonly string[]): Promise<Cable> {
  const cable = Cable.start(lab, lab.host, ["--vm-fd", "{vm}", "--vm-mac-address", MAC, "--bridge", BRIDGE, ...more], {
    vm: true,
    keep: true,
  });
  await cable.softnet.ready();
  return cable;
}

test("--vm-fd: lease, ping; the VM's end closes: exit 0, though another process holds a copy of ours", {
  ...labNeeds("udhcpc", "dnsmasq"),
  ...LIMIT,
}, async (t) => {
  const lab = Lab.open(t);
  await DhcpServer.start(lab, "dnsmasq");
  const cable = await bridged(lab);
  const guest = await guestAt(lab, cable);
  const client = udhcpc(guest);
  await client.event(/bound/);
  assert.ok(await guest.ping(GATEWAY));
  assert.ok(await guest.ping(INTERNET));
  client.program.kill();
  cable.close("vm");
  await cable.stop("guest");
  assertInnocent(await cable.softnet.ended());
});

test("--vm-fd: the VM's end closes while the link is idle: exit 0", { ...labNeeds(), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  lab.host.sysctl({ "net/ipv6/conf/all/disable_ipv6": "1" });
  const cable = await bridged(lab);
  await sleep(500); // nothing happens in the meantime: that is the point
  cable.close("vm");
  assertInnocent(await cable.softnet.ended());
});

test("--vm-fd: a VM that never receives does not stop its own frames, nor a signal", {
  ...labNeeds(),
  ...LIMIT,
}, async (t) => {
  const lab = Lab.open(t);
  const cable = await bridged(lab);
  await cable.run("deaf", ["/usr/bin/python3", tool("deaf.py"), MAC, "{vm}"]);
  const bridge = await lab.watch(lab.host, BRIDGE);
  // More than the socket holds, to everyone on the bridge.
  const flood = [
    "import socket",
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)",
    "for _ in range(5000): s.sendto(bytes(1400), ('10.77.0.255', 9))",
  ].join("\n");
  await lab.neighbour.run("/usr/bin/python3", ["-c", flood]);
  const seen = () => bridge.count(({ source }) => source === MAC);
  const before = seen();
  await until("frames of the deaf VM", () => seen() >= before + 5);
  const { exit } = await cable.softnet.stop();
  assert.deepEqual(exit, { code: 0, signal: null });
  const summary = cable.softnet.records.find(({ message }) => message === "summary");
  assert.ok(Number(summary?.undelivered) > 0, "nothing was counted as undelivered");
});

test("--vm-fd and --host-fd as an ordinary user: lease, ping, and a spoofed address is dropped", {
  ...needsReadable(),
  ...labNeeds("udhcpc", "dnsmasq"),
  ...LIMIT,
}, async (t) => {
  const lab = Lab.open(t);
  await DhcpServer.start(lab, "dnsmasq");
  const args = ["--vm-fd", "{vm}", "--host-fd", "{host}", "--vm-mac-address", MAC];
  const cable = Cable.start(lab, lab.host, args, { vm: true, host: true, uid: NOBODY });
  await cable.softnet.ready();
  const guest = await guestAt(lab, cable);
  await cable.run("host", [...inside(lab.host.name), tool("tapfd.py"), "cable0", "02:77:00:00:00:99", "{host}"]);
  await until("the host's end", () => lab.host.hasLink("cable0"));
  lab.host.ip("link", "set", "cable0", "master", BRIDGE);
  const client = udhcpc(guest);
  await client.event(/bound/);
  assert.ok(await guest.ping(INTERNET));
  guest.namespace.ip("address", "add", "10.77.0.77/24", "dev", guest.link);
  await guest.namespace.run("ping", ["-c", "2", "-i", "0.2", "-W", "1", "-I", "10.77.0.77", INTERNET]);
  client.program.kill();

  cable.close("host");
  await cable.stop("host");
  const summary = await cable.softnet.ended();
  assert.equal(summary.exit.code, 1, "the network's end is gone");
  assertDropped(summary, "ipv4.source");
  const errors = cable.softnet.records.filter(({ level }) => level === "error");
  assert.equal(errors.length, 1);
  assert.match(String(errors[0]!.message), /--host-fd/);
});
