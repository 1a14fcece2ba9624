/** IPv4 to one machine in a frame to many (threat row I17, finding G13): one frame would cost every machine of the segment. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameView } from "../../src/wire/frame-view.ts";
import { echoOut, REMOTE, tcpIn, tcpOut, udpIn, udpOut } from "./flow-support.ts";
import {
  ADDRESS,
  Bench,
  Client,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  icmp,
  MINUTE,
  NEIGHBOUR,
  NOBODY,
  packet,
  Server,
  UDP,
  VM,
} from "./support.ts";

const GROUPS = [EVERYONE_MAC, "01:00:5e:00:00:01", "33:33:00:00:00:01", "03:00:00:00:00:01"];
const OPEN = { allow: ["0.0.0.0/0"] };
const POLICIES = Object.entries({
  "without rules": {},
  "all allowed": OPEN,
  "by port": { allow: ["0.0.0.0/0:1-65535"] },
  live: { ...OPEN, live: true },
  stateful: { allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"] },
});
const SUBNET = "192.168.64.0/24";
const DIRECTED = "192.168.64.255";
const MULTICAST = "239.255.255.250";

for (const [title, options] of POLICIES) {
  test(`G13 a packet of the VM's to one address in a frame to many drops, with and without a known subnet: ${title}`, () => {
    for (const subnet of [{ subnet: SUBNET }, {}]) {
      const bench = new Bench({ address: ADDRESS, gateway: GATEWAY, ...options, ...subnet });
      for (const to of GROUPS) {
        bench.dropsOut(
          "ipv4.group-frame",
          tcpOut({ to }),
          udpOut({ to }),
          echoOut(8, { to }),
          udpOut({ to, destination: GATEWAY }),
          udpOut({ to, destination: NEIGHBOUR }),
          udpOut({ to, destination: ADDRESS }),
          packet(47, new Uint8Array(8), { to, destination: REMOTE }),
          udpOut({ to, more: true }),
          packet(UDP, new Uint8Array(8), { to, destination: REMOTE, offset: 4 }),
        );
      }
      bench.passesOut(tcpOut(), udpOut({ destination: GATEWAY }));
    }
  });

  test(`G13 a packet to the VM's own address in a frame to many drops, with and without a known subnet: ${title}`, () => {
    for (const subnet of [{ subnet: SUBNET }, {}]) {
      const bench = new Bench({ address: ADDRESS, gateway: GATEWAY, ...options, ...subnet });
      for (const to of GROUPS) {
        bench.dropsIn(
          "ipv4.group-frame",
          tcpIn({ to }),
          udpIn({ to }),
          udpIn({ to, more: true }),
          packet(UDP, new Uint8Array(8), { source: REMOTE, destination: ADDRESS, from: GATEWAY_MAC, to, offset: 4 }),
          icmp(3, { source: REMOTE, destination: ADDRESS, from: GATEWAY_MAC, to }),
        );
      }
      bench.passesIn(tcpIn(), udpIn());
    }
  });
}

test("G13 to the VM, where the subnet is known, every other address is one machine's, too", () => {
  const bench = new Bench({ address: ADDRESS, subnet: SUBNET });
  for (const to of GROUPS) {
    for (const destination of [NEIGHBOUR, GATEWAY, REMOTE, "192.168.64.0", "192.168.65.255", NOBODY, "127.0.0.1"]) {
      bench.dropsIn("ipv4.group-frame", udpIn({ to, destination }));
    }
    for (const destination of [DIRECTED, EVERYONE, MULTICAST, "224.0.0.1"]) bench.passesIn(udpIn({ to, destination }));
  }
});

test("G13 to the VM, where no subnet is known, other addresses may be broadcast", () => {
  for (const options of [{}, { subnet: "192.168.64.4/31" }, { subnet: `${ADDRESS}/32` }]) {
    const bench = new Bench({ address: ADDRESS, ...options });
    for (const destination of [NEIGHBOUR, DIRECTED, "192.168.127.255", EVERYONE, MULTICAST]) {
      bench.passesIn(udpIn({ to: EVERYONE_MAC, destination }));
    }
    bench.dropsIn("ipv4.group-frame", udpIn({ to: EVERYONE_MAC }));
  }
});

test("G13 to a VM that is not bound, no address is its own, not even 0.0.0.0", () => {
  const bench = new Bench({});
  for (const destination of ["0.0.0.0", NEIGHBOUR, DIRECTED]) bench.passesIn(udpIn({ to: EVERYONE_MAC, destination }));
});

test("G13 I17 multicast and broadcast of the VM's are policy's, in frames of any kind", () => {
  const closed = new Bench({ address: ADDRESS, subnet: SUBNET });
  const open = new Bench({ address: ADDRESS, subnet: SUBNET, ...OPEN });
  for (const to of [...GROUPS, GATEWAY_MAC]) {
    closed.dropsOut("policy.multicast", udpOut({ to, destination: MULTICAST }));
    closed.dropsOut("policy.broadcast", udpOut({ to, destination: EVERYONE }), udpOut({ to, destination: DIRECTED }));
    for (const destination of [MULTICAST, EVERYONE, DIRECTED]) open.passesOut(udpOut({ to, destination }));
  }
});

test("G13 without a known subnet nothing of the VM's is a directed broadcast", () => {
  const bench = new Bench({ address: ADDRESS, ...OPEN });
  bench.dropsOut("ipv4.group-frame", udpOut({ to: EVERYONE_MAC, destination: DIRECTED }));
  bench.passesOut(udpOut({ to: EVERYONE_MAC, destination: EVERYONE }), udpOut({ destination: DIRECTED }));
});

test("G13 the directed broadcast address is the lease's, and there is none without a binding", () => {
  const bench = new Bench({ ...OPEN, subnet: SUBNET });
  const own = { to: EVERYONE_MAC };
  bench.passesIn(udpIn({ ...own, destination: NEIGHBOUR }), udpIn({ ...own, destination: "0.0.0.255" }), udpIn(own));
  bench.bind(ADDRESS, new Client(), new Server({ netmask: "255.255.255.248", lease: 60 }));
  bench.passesOut(udpOut({ ...own, destination: "192.168.64.7" }));
  bench.passesIn(udpIn({ ...own, destination: "192.168.64.7" }));
  bench.dropsOut("ipv4.group-frame", udpOut({ ...own, destination: DIRECTED }));
  bench.dropsIn("ipv4.group-frame", udpIn({ ...own, destination: DIRECTED }), udpIn(own));
  bench.wait(MINUTE);
  bench.dropsIn("ipv4.unbound", udpIn(own));
  bench.passesIn(udpIn({ ...own, destination: DIRECTED }));
  bench.dropsOut("ipv4.unbound", udpOut(own));
});

test("G13 400,000 frames to all machines in 4 s: none reaches the segment", () => {
  const bench = new Bench({ address: ADDRESS, gateway: GATEWAY });
  const frame = udpOut({ to: EVERYONE_MAC });
  const view = FrameView.of(frame);
  let passed = 0;
  for (let index = 0; index < 400_000; index++) {
    bench.guard.advance(bench.now + index * 10);
    if (bench.guard.judgeEgress(view) === 0) passed++;
  }
  assert.equal(passed, 0);
});

test("G13 DHCP in frames to all machines goes on, also to the address that it assigns", () => {
  const bench = new Bench();
  const client = new Client({ broadcast: true });
  const server = new Server();
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS, { to: EVERYONE_MAC }));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.passesIn(server.ack(client, ADDRESS, { to: EVERYONE_MAC }));
  assert.equal(bench.bound, ADDRESS);
  bench.passesOut(client.renew(ADDRESS, GATEWAY, { to: EVERYONE_MAC }));
  bench.passesIn(server.ack(client, ADDRESS, { to: VM }));
});
