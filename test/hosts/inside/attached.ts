/**
 * What kernels.test.ts runs under another kernel: softnet attached to a veth, to a TAP that is held as Firecracker holds it,
 * and to one that vhost-net serves.
 */
import assert from "node:assert/strict";
import { release } from "node:os";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { makeCard, masterOf } from "../../lab/harness/attached.ts";
import { lease } from "../../lab/harness/clients.ts";
import { ControlPath } from "../../lab/harness/control.ts";
import { Guest } from "../../lab/harness/guest.ts";
import type { Namespace } from "../../lab/harness/netns.ts";
import { DhcpServer } from "../../lab/harness/servers.ts";
import { Softnet, softnetCommand } from "../../lab/harness/softnet.ts";
import { BRIDGE, GATEWAY, INTERNET, Lab, labNeeds, NEIGHBOUR } from "../../lab/harness/topology.ts";
import { LONG_LIMIT } from "../../support/patience.ts";

const LINK = "vm0";
const MAC = "7e:1a:00:00:00:91";
const ADDRESS = "10.77.0.21";
const OTHER = "10.77.0.22";
const PYTHON = "/usr/bin/python3";
const SIZE = 2 << 20;
const CARDS = ["veth", "tap-offloads", "vhost"] as const;
type Card = (typeof CARDS)[number];

/** Sends back what it gets. */
const SERVER = `
import socket
s = socket.create_server(("${INTERNET}", 9999))
print("ready", flush=True)
c, _ = s.accept()
data = b""
while len(data) < ${SIZE}:
    data += c.recv(1 << 16)
c.sendall(data)
c.recv(1)
`;
const CLIENT = `
import socket
c = socket.create_connection(("${INTERNET}", 9999), 60)
sent = bytes(range(256)) * ${SIZE / 256}
c.sendall(sent)
data = b""
while len(data) < ${SIZE}:
    data += c.recv(1 << 16)
print("intact" if data == sent else "broken")
`;

/** Makes the guest's card. Returns its interface on the host. */
async function makeAnyCard(lab: Lab, card: Card, namespace: Namespace): Promise<string> {
  if (card !== "vhost") return await makeCard(lab, card, { namespace, link: LINK, mac: MAC, bridged: true });
  const port = `a-${LINK}`;
  const within = lab.namespace("vmm");
  within.ip("link", "add", "card", "type", "veth", "peer", "name", LINK, "address", MAC, "netns", namespace.name);
  const args = [own("vhost.py"), port, within.name, "card"];
  await lab.start(lab.host, PYTHON, args, { label: "vhost" }).line(/^ready$/);
  lab.host.ip("link", "set", port, "master", BRIDGE, "up");
  return port;
}

const own = (name: string): string => fileURLToPath(new URL(`../tools/${name}`, import.meta.url));

async function programsAt(lab: Lab, port: string): Promise<string> {
  return (await lab.host.run(process.execPath, [own("programs-at.ts"), port])).stdout.trim();
}

interface LaneStatus {
  readonly state: string;
  readonly why?: string;
  readonly egress?: { readonly frames: number };
  readonly ingress?: { readonly frames: number };
}

/** Whether the kernel has passed frames of both ways, or why it cannot. */
function laneText({ why, egress, ingress }: LaneStatus): string {
  if (why !== undefined) return why;
  return (egress?.frames ?? 0) > 0 && (ingress?.frames ?? 0) > 0 ? "passed frames both ways" : "passed nothing";
}

/** TCP both ways, in as large pieces as the guest's kernel likes. */
async function transfers(lab: Lab, guest: Guest): Promise<void> {
  await lab.start(lab.internet, PYTHON, ["-c", SERVER]).line(/^ready$/);
  const { stdout, stderr } = await guest.namespace.run(PYTHON, ["-c", CLIENT]);
  assert.equal(stdout.trim(), "intact", stderr);
}

for (const card of CARDS) {
  test(`${card}: traffic passes, a forged source does not; killed it is closed, and detach leaves nothing`, {
    ...labNeeds(),
    ...LONG_LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const namespace = lab.namespace("guest");
    const port = await makeAnyCard(lab, card, namespace);
    const args = ["--vm-mac-address", MAC, "--vm-ip-address", ADDRESS, "--gateway", GATEWAY];
    const control = new ControlPath(lab);
    const softnet = Softnet.start(lab, lab.host, ["attach", port, ...args, ...control.options]);
    await softnet.ready();
    const guest = Guest.at(lab, namespace, LINK, MAC, softnet);
    namespace.ip("link", "set", LINK, "up");
    guest.setAddress(`${ADDRESS}/24`);
    t.diagnostic(`Linux ${release()}, ${card}: ${await programsAt(lab, port)}`);

    assert.ok(await guest.ping(GATEWAY));
    await transfers(lab, guest);
    const client = await control.client();
    t.diagnostic(
      `Linux ${release()}, ${card}: lane ${laneText((await client.ask("softnet.status")).lane as LaneStatus)}`,
    );
    assert.equal(await guest.ping(NEIGHBOUR, 1), false);
    const internet = await lab.watch(lab.internet, "up0");
    namespace.ip("address", "add", `${OTHER}/24`, "dev", LINK);
    await namespace.run("ping", ["-c", "3", "-W", "1", "-I", OTHER, INTERNET]);
    assert.ok(await guest.ping(INTERNET));
    await internet.until("the guest's own frames", ({ ip }) => ip?.source === ADDRESS);
    assert.ok(!internet.some(({ ip }) => ip?.source === OTHER));

    softnet.program.kill();
    await softnet.program.ended();
    const bridge = await lab.watch(lab.host, BRIDGE);
    assert.equal(await guest.ping(GATEWAY, 1), false);
    assert.ok(!bridge.some(({ source }) => source === MAC));

    const [command, ...rest] = softnetCommand(["detach", port]);
    const { code, stderr } = await lab.host.run(command!, rest);
    assert.equal(code, 0, stderr);
    assert.equal(masterOf(lab.host, port), BRIDGE);
    assert.ok(await guest.ping(NEIGHBOUR), "detached, nothing filters");
    assert.equal(await programsAt(lab, port), "tcx 0 clsact 0");
  });
}

test("a container's veth gets an address by DHCP", { ...labNeeds("udhcpc", "dnsmasq"), ...LONG_LIMIT }, async (t) => {
  const lab = Lab.open(t);
  await DhcpServer.start(lab, "dnsmasq");
  const guest = await lab.guest({ card: "veth", bare: false });
  await lease(guest);
  assert.ok(await guest.ping(INTERNET));
  assert.deepEqual((await guest.stop()).exit, { code: 0, signal: null });
});
