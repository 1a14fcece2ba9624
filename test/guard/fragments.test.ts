/** Fragments (threat row I1): later ones follow their first one. How many are noted: fragment-places.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { change, echoOut, flowsOf, REMOTE, remote, tcpIn, tcpOut, tracking, udpIn, udpOut } from "./flow-support.ts";
import {
  ADDRESS,
  Bench,
  DNS_SERVER,
  GATEWAY_MAC,
  type PacketWords,
  packet,
  patch,
  SECOND,
  UDP,
  udp,
  VM,
  withChecksum,
} from "./support.ts";

const BY_PORT = { block: ["0.0.0.0/0:9"] };
const CLOSED = { block: ["in 0.0.0.0/0"] };

const named = (frame: Uint8Array, identification: number): Uint8Array =>
  withChecksum(patch(frame, 18, identification >>> 8, identification & 255));
const first = (identification: number, words: PacketWords & { port?: number } = {}): Uint8Array =>
  named(udpOut({ more: true, ...words }), identification);
const later = (identification: number, words: PacketWords = {}, protocol = UDP): Uint8Array =>
  named(packet(protocol, new Uint8Array(32), { destination: REMOTE, offset: 4, ...words }), identification);
const inward = { source: REMOTE, destination: ADDRESS, from: GATEWAY_MAC, to: VM };

test("I1 a later fragment passes when its first one did, and only that one's", () => {
  const bench = tracking(BY_PORT);
  bench.dropsOut("ipv4.fragment-unknown", later(1));
  bench.passesOut(first(1), later(1), later(1, { offset: 8, more: true }), later(1));
  bench.dropsOut(
    "ipv4.fragment-unknown",
    later(2),
    later(1, { destination: remote(1) }),
    later(1, {}, 6),
    later(1, {}, 47),
  );
});

test("I1 a first fragment that is blocked leaves nothing to follow", () => {
  const bench = tracking(BY_PORT);
  bench.dropsOut("policy.block", first(1, { port: 9 }));
  bench.dropsOut("ipv4.fragment-unknown", later(1));
});

test("I1 a first fragment without its whole header drops before it is noted", () => {
  const bench = tracking(BY_PORT);
  bench.dropsOut("ipv4.fragment", named(packet(UDP, new Uint8Array(7), { destination: REMOTE, more: true }), 1));
  bench.dropsOut("ipv4.fragment", later(1, { offset: 1 }));
  bench.dropsOut("ipv4.fragment-unknown", later(1));
});

test("I1 without ports in the rules first fragments are judged by their addresses", () => {
  const bench = tracking({ block: ["10.0.0.0/8"] });
  bench.dropsOut("ipv4.fragment-unknown", later(1));
  bench.passesOut(first(1), later(1));
  bench.dropsOut("policy.block", first(1, { destination: "10.0.0.1" }));
  bench.dropsOut("ipv4.fragment-unknown", later(1, { destination: "10.0.0.1" }));
});

test("I1 a first fragment is noted for 30 s, in whole seconds; later ones do not keep it", () => {
  const bench = tracking(BY_PORT);
  bench.wait(SECOND - 1);
  bench.passesOut(first(1));
  for (let second = 0; second < 30; second++) {
    bench.wait(SECOND);
    bench.passesOut(later(1));
  }
  bench.wait(1);
  bench.dropsOut("ipv4.fragment-unknown", later(1));
});

test("I1 fragments to the VM follow their first one in a stateful policy, and pass in a stateless one", () => {
  const open = tracking(BY_PORT);
  open.passesIn(named(packet(UDP, new Uint8Array(32), { ...inward, offset: 4 }), 1));
  const bench = tracking(CLOSED);
  const laterIn = (identification: number) =>
    named(packet(UDP, new Uint8Array(32), { ...inward, offset: 4 }), identification);
  bench.dropsIn("policy.block", named(udpIn({ more: true }), 1));
  bench.dropsIn("ipv4.fragment-unknown", laterIn(1));
  bench.passesOut(udpOut());
  bench.passesIn(named(udpIn({ more: true }), 1), laterIn(1));
  bench.dropsOut("ipv4.fragment-unknown", later(1));
});

test("I1 a first fragment opens a flow like a whole packet, a later one belongs to none", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(first(1));
  bench.passesIn(udpIn());
  bench.wait(25 * SECOND);
  bench.passesOut(later(1));
  bench.wait(96 * SECOND); // answered, it lives 120 s
  assert.equal(flowsOf(bench), 0);
});

test("I1 a changed policy forgets what was noted", () => {
  const bench = tracking(BY_PORT);
  bench.passesOut(first(1), later(1));
  change(bench, [], ["0.0.0.0/0:9"]);
  bench.dropsOut("ipv4.fragment-unknown", later(1));
});

test("I1 a first fragment of a ping without a token leaves nothing to follow", () => {
  const bench = tracking(BY_PORT);
  for (let index = 0; index < 200; index++) bench.passesOut(echoOut(8));
  bench.dropsOut("icmp.rate", named(echoOut(8, { more: true }), 1));
  bench.dropsOut("ipv4.fragment-unknown", later(1, {}, 1));
});

test("I1 a fragment of DNS to a server that is not globally routable drops by default, also by port", () => {
  const bench = new Bench(BY_PORT);
  bench.bind();
  bench.dropsOut("ipv4.fragment", udp(1, 53, { destination: DNS_SERVER, more: true }));
  bench.passesOut(udp(1, 53, { destination: DNS_SERVER }));
  const allowed = new Bench({ allow: ["@dns:53"] });
  allowed.bind();
  allowed.passesOut(named(udp(1, 53, { destination: DNS_SERVER, more: true }), 1));
  allowed.passesOut(later(1, { destination: DNS_SERVER }));
});

test("I1 rules with a port say nothing of fragments that no first one leads, of other protocols", () => {
  const bench = tracking({ allow: ["10.0.0.0/8:1-65535"] });
  bench.passesOut(tcpOut({ destination: "10.0.0.1" }), named(tcpOut({ destination: "10.0.0.1", more: true }), 3));
  bench.dropsOut("policy.destination", packet(47, new Uint8Array(8), { destination: "10.0.0.1" }));
  bench.dropsOut("policy.destination", echoOut(8, { destination: "10.0.0.1" }));
  bench.passesIn(tcpIn());
});
