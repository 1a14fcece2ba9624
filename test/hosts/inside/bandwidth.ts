/**
 * What bandwidth.test.ts runs under another kernel: softnet attached to a TAP that has the queueing disciplines of libvirt's
 * <bandwidth>. They are made by the very commands that libvirt 9.0 runs for them.
 */
import assert from "node:assert/strict";
import { release } from "node:os";
import { test } from "node:test";
import { makeCard, masterOf } from "../../lab/harness/attached.ts";
import { Guest } from "../../lab/harness/guest.ts";
import { Softnet } from "../../lab/harness/softnet.ts";
import { BRIDGE, GATEWAY, INTERNET, Lab, labNeeds } from "../../lab/harness/topology.ts";
import { LONG_LIMIT } from "../../support/patience.ts";

const LINK = "vm0";
const MAC = "7e:1a:00:00:00:92";
const ADDRESS = "10.77.0.23";
const PYTHON = "/usr/bin/python3";
/** Kilobytes a second, as libvirt's `average`. */
const AVERAGE = 200;
const SIZE = 2 << 20;
/** Of the limit's time that a transfer must take; the rest is its burst. */
const NEARLY = 0.7;

const INBOUND = (port: string): string => `tc qdisc add dev ${port} root handle 1: htb default 1
tc class add dev ${port} parent 1: classid 1:1 htb rate ${AVERAGE}kbps quantum 17
tc qdisc add dev ${port} parent 1:1 handle 2: sfq perturb 10
tc filter add dev ${port} parent 1:0 protocol all prio 1 handle 1 fw flowid 1`;

const OUTBOUND = (port: string): string => `tc qdisc add dev ${port} ingress
tc filter add dev ${port} parent ffff: protocol all u32 match u32 0 0 police rate ${AVERAGE}kbps burst ${AVERAGE}kb mtu 64kb drop flowid :1`;

/** Sends to whoever connects, and then waits for its end. */
const SERVER = `
import socket
s = socket.create_server(("${INTERNET}", 9999))
print("ready", flush=True)
c, _ = s.accept()
c.sendall(bytes(${SIZE}))
c.recv(1)
`;
/** Prints the seconds from the first byte to the last one. */
const CLIENT = `
import socket, time
c = socket.create_connection(("${INTERNET}", 9999), 60)
got = len(c.recv(1))
began = time.monotonic()
while got < ${SIZE}:
    got += len(c.recv(1 << 16))
print(time.monotonic() - began)
`;

interface Scene {
  readonly lab: Lab;
  readonly guest: Guest;
  readonly softnet: Softnet;
  readonly port: string;
}

/** A guest whose TAP has the disciplines, and a softnet that is being attached to it. */
async function scene(lab: Lab, disciplines: (port: string) => string): Promise<Scene> {
  const namespace = lab.namespace("guest");
  const port = await makeCard(lab, "tap-offloads", { namespace, link: LINK, mac: MAC, bridged: true });
  const { code, stderr } = await lab.host.run("sh", ["-ec", disciplines(port)]);
  assert.equal(code, 0, stderr);
  const args = ["--vm-mac-address", MAC, "--vm-ip-address", ADDRESS, "--gateway", GATEWAY];
  const softnet = Softnet.start(lab, lab.host, ["attach", port, ...args]);
  const guest = Guest.at(lab, namespace, LINK, MAC, softnet);
  namespace.ip("link", "set", LINK, "up");
  guest.setAddress(`${ADDRESS}/24`);
  return { lab, guest, softnet, port };
}

test("inbound: what goes to the VM is kept to libvirt's limit", { ...labNeeds("tc"), ...LONG_LIMIT }, async (t) => {
  const { lab, guest, softnet } = await scene(Lab.open(t), INBOUND);
  await softnet.ready();
  assert.ok(await guest.ping(INTERNET));
  await lab.start(lab.internet, PYTHON, ["-c", SERVER]).line(/^ready$/);
  const { stdout, stderr } = await guest.namespace.run(PYTHON, ["-c", CLIENT]);
  const seconds = Number(stdout);
  assert.ok(seconds > (NEARLY * SIZE) / (AVERAGE * 1000), `${stdout} ${stderr}`);
  t.diagnostic(`Linux ${release()}, inbound ${AVERAGE} kB/s: ${Math.round(SIZE / seconds / 1000)} kB/s`);
});

test("outbound: libvirt's limit sees nothing, or softnet is not attached", {
  ...labNeeds("tc"),
  ...LONG_LIMIT,
}, async (t) => {
  const { lab, guest, softnet, port } = await scene(Lab.open(t), OUTBOUND);
  const hasTcx = Number(release().split(".")[0]) * 1000 + Number(release().split(".")[1]) >= 6006;
  if (!hasTcx) {
    assert.deepEqual(await softnet.program.ended(), { code: 1, signal: null });
    assert.match(softnet.program.text(), /the queueing discipline \\*"ingress\\*" is there, as libvirt.s <bandwidth>/);
    assert.equal(masterOf(lab.host, port), BRIDGE, "all is as before");
    t.diagnostic(`Linux ${release()}, outbound: refused`);
    return;
  }
  const policed = async (): Promise<string> => {
    const { stdout } = await lab.host.run("tc", ["-s", "filter", "show", "dev", port, "parent", "ffff:"]);
    assert.match(stdout, /police/);
    return /Sent \d+ bytes \d+ pkt/.exec(stdout)?.[0] ?? stdout;
  };
  await softnet.ready();
  const before = await policed();
  for (let count = 0; count < 3; count++) assert.ok(await guest.ping(INTERNET));
  assert.equal(await policed(), before);
  t.diagnostic(`Linux ${release()}, outbound: passed by`);
});
