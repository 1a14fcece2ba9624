/** ICMP in a stateful policy (threat row I14): errors belong to a live flow or drop; pings have a rate in every policy. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ACK_FLAG,
  echoIn,
  echoOut,
  errorIn,
  errorOut,
  flowsOf,
  middle,
  quoting,
  REMOTE,
  remote,
  SYN,
  tcpIn,
  tcpOut,
  tracking,
  udpIn,
  udpOut,
} from "./flow-support.ts";
import {
  ADDRESS,
  EVERYONE_MAC,
  GATEWAY_MAC,
  hex,
  ICMP,
  icmp,
  join,
  NEIGHBOUR,
  packet,
  patch,
  SECOND,
  TCP,
  VM,
  withChecksum,
} from "./support.ts";

const CLOSED = { block: ["in 0.0.0.0/0"] };

test("I14 an error about a packet of a live flow passes, from whatever router, though the way in is closed", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(tcpOut(), udpOut(), echoOut(8));
  for (const type of [3, 4, 11, 12]) {
    for (const frame of [tcpOut(), tcpOut(middle), udpOut(), echoOut(8)]) bench.passesIn(errorIn(frame, {}, type));
  }
});

test("I14 an error about anything else drops, though the way in is open", () => {
  const bench = tracking({ allow: ["in 0.0.0.0/0"] });
  bench.passesOut(tcpOut(), udpOut(), echoOut(8));
  bench.dropsIn(
    "flow.icmp",
    errorIn(tcpOut({ own: 1 })),
    errorIn(tcpOut({ port: 1 })),
    errorIn(tcpOut({ destination: remote(1) })),
    errorIn(udpOut({ own: 1 })),
    errorIn(echoOut(8, { identifier: 1 })),
    errorIn(echoOut(0)),
    // Other protocols and ICMP types belong to no flow.
    errorIn(packet(47, new Uint8Array(8), { destination: REMOTE })),
    errorIn(icmp(13, { destination: REMOTE })),
    errorIn(errorOut(tcpIn())),
  );
  // What the other side sent, and what another machine did.
  bench.dropsIn(
    "icmp.quote",
    errorIn(tcpIn()),
    errorIn(udpIn()),
    errorIn(echoIn(0)),
    errorIn(tcpOut({ source: NEIGHBOUR })),
  );
});

test("I14 an error whose quote is cut short, has options or is a later fragment drops", () => {
  const bench = tracking();
  bench.passesOut(udpOut());
  const words = { source: REMOTE, destination: ADDRESS, from: GATEWAY_MAC, to: VM };
  bench.passesIn(packet(ICMP, quoting(udpOut(), 3, 28), words));
  bench.dropsIn("icmp.quote", packet(ICMP, quoting(udpOut(), 3, 27), words), icmp(3, words), icmp(11, words));
  const message = quoting(udpOut());
  bench.dropsIn(
    "icmp.quote",
    packet(ICMP, patch(message, 8, 0x46), words),
    packet(ICMP, patch(message, 8, 0x65), words),
    packet(ICMP, patch(message, 14, 0, 1), words),
  );
  bench.dropsIn("flow.icmp", packet(ICMP, patch(message, 17, TCP), words));
  // Behind the packet's total length there may be padding of any content.
  const short = packet(ICMP, quoting(udpOut(), 3, 20), words);
  bench.dropsIn("icmp.quote", join(short, udpOut().subarray(34, 42)));
});

test("I14 an error from the VM passes to the side whose packet it quotes, and to nobody else", () => {
  const bench = tracking();
  bench.passesIn(tcpIn({ own: 22 }), udpIn(), echoIn(8));
  bench.passesOut(errorOut(tcpIn({ own: 22 })), errorOut(udpIn()), errorOut(echoIn(8)));
  bench.dropsOut(
    "icmp.quote",
    errorOut(udpIn(), { destination: remote(1) }),
    errorOut(udpIn({ source: remote(1) })),
    errorOut(udpIn({ destination: NEIGHBOUR })),
    errorOut(udpOut()),
  );
  bench.dropsOut(
    "flow.icmp",
    errorOut(tcpIn({ own: 23 })),
    errorOut(udpIn({ source: remote(1) }), { destination: remote(1) }),
  );
});

test("I14 an error from byte to byte: unreachable, about the VM's DNS query", () => {
  const bench = tracking({ address: "192.168.64.5", allow: ["out 9.9.9.9/32"] });
  const query = "4500 001d 1234 0000 4011 0000 c0a84005 09090909 9c40 0035 0009 0000 61";
  const error = "4500 0038 0000 0000 4001 0000 08080404 c0a84005 0303 0000 0000 0000";
  const to = join(hex("020000000064 7e1a00000001 0800"), hex(query));
  const from = join(hex("7e1a00000001 020000000064 0800"), hex(error), hex(query).subarray(0, 28));
  bench.dropsIn("flow.icmp", withChecksum(from));
  bench.passesOut(withChecksum(to));
  bench.passesIn(withChecksum(from));
});

test("I14 an error keeps no flow alive", () => {
  const bench = tracking();
  bench.passesOut(udpOut());
  for (let second = 0; second < 30; second++) {
    bench.wait(SECOND);
    bench.passesIn(errorIn(udpOut()));
  }
  bench.wait(SECOND);
  assert.equal(flowsOf(bench), 0);
  bench.dropsIn("flow.icmp", errorIn(udpOut()));
});

test("I14 an error from a group address only asks the rules, one to all drops", () => {
  const bench = tracking();
  bench.dropsIn("icmp.quote", errorIn(udpOut(), { destination: "192.168.64.255", to: EVERYONE_MAC }));
  bench.passesIn(errorIn(udpOut(), { source: "224.0.0.1" }));
  bench.dropsOut("icmp.quote", errorOut(udpIn(), { destination: "224.0.0.1" }));
  bench.dropsOut("policy.multicast", errorOut(udpIn({ source: "224.0.0.1" }), { destination: "224.0.0.1" }));
  tracking({ ...CLOSED }).dropsIn("policy.block", errorIn(udpOut(), { source: "224.0.0.1" }));
});

test("a stateless policy asks the rules about errors as about everything", () => {
  const bench = tracking({ live: true });
  bench.passesIn(errorIn(udpOut()));
  bench.passesOut(errorOut(udpIn()));
  const aboutNeighbour = errorOut(udpIn({ source: NEIGHBOUR }), { destination: NEIGHBOUR });
  bench.dropsOut("policy.destination", aboutNeighbour);
});

test("other ICMP asks its direction's rules and is no flow", () => {
  const bench = tracking({ block: ["in 0.0.0.0/0"] });
  bench.passesOut(icmp(13, { destination: REMOTE }));
  bench.dropsIn("policy.block", icmp(14, { source: REMOTE, destination: ADDRESS, from: GATEWAY_MAC, to: VM }));
  assert.equal(flowsOf(bench), 0);
});

/* The rate of pings */

for (const [title, options] of [
  ["without rules", {}],
  ["by port", { allow: ["10.0.0.0/8:22"] }],
  ["stateful", CLOSED],
  ["live", { live: true }],
] as const) {
  test(`I14 pings of the VM, questions and answers: 200 at once, then 100 a second: ${title}`, () => {
    const bench = tracking(options);
    for (let index = 0; index < 100; index++) bench.passesOut(echoOut(8, { identifier: index }), echoOut(0));
    bench.dropsOut("icmp.rate", echoOut(8), echoOut(0), echoOut(8, { more: true }));
    bench.passesOut(icmp(13, { destination: REMOTE }), udpOut(), tcpOut());
    bench.wait(10_000);
    bench.passesOut(echoOut(8));
    bench.dropsOut("icmp.rate", echoOut(8));
    bench.wait(SECOND);
    for (let index = 0; index < 100; index++) bench.passesOut(echoOut(8));
    bench.dropsOut("icmp.rate", echoOut(8));
  });
}

test("I14 a ping that is dropped anyway takes no token, and one without a token opens no flow and keeps none alive", () => {
  const bench = tracking({ block: ["in 0.0.0.0/0", "out 10.0.0.0/8"] });
  for (let index = 0; index < 500; index++) bench.dropsOut("policy.block", echoOut(8, { destination: "10.0.0.1" }));
  for (let index = 0; index < 200; index++) bench.passesOut(echoOut(8, { identifier: 1 }));
  bench.dropsOut("icmp.rate", echoOut(8, { identifier: 2 }));
  bench.dropsIn("policy.block", echoIn(0, { identifier: 2 }));
  bench.passesIn(echoIn(0, { identifier: 1 }));
  assert.equal(flowsOf(bench), 1);
});

test("pings to the VM have no rate", () => {
  const bench = tracking();
  for (let index = 0; index < 1000; index++) bench.passesIn(echoIn(8));
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
});

test("I14 an ICMP error in pieces is for no flow: what it quotes could be written over", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(udpOut());
  bench.passesIn(errorIn(udpOut()));
  bench.dropsIn("icmp.quote", errorIn(udpOut(), { more: true }));
});
