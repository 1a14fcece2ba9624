/** Who has the gateway's address: what softnet asks the network itself (findings G9 and G10, threat row A9). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ADDRESS,
  address,
  arp,
  arpReply,
  Bench,
  Client,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  mac,
  OTHER_MAC,
  SECOND,
  Server,
  VM,
} from "./support.ts";

const SERVER = { address: "192.168.64.2", mac: "02:00:00:00:00:02" };
const asks = (from: string) => arp({ sender: GATEWAY, target: ADDRESS, from });
const announces = (from: string) => arp({ sender: GATEWAY, target: GATEWAY, from });

/** The VM has its address from a server that is not the gateway. */
function bound(options = {}): Bench {
  const bench = new Bench({ ask: true, ...options });
  bench.bind(ADDRESS, new Client(), new Server(SERVER));
  return bench;
}

function acquainted(options = {}): Bench {
  const bench = bound(options);
  bench.passesOut(arp());
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
  return bench;
}

/** The frame that softnet asks with now. */
function question(bench: Bench): Uint8Array | undefined {
  const out = new Uint8Array(64);
  bench.guard.advance(bench.now);
  const length = bench.guard.takeQuestion(out, 2);
  return length === 0 ? undefined : out.slice(2, 2 + length);
}

const whom = (bench: Bench): string | undefined => {
  const frame = question(bench);
  if (frame === undefined) return undefined;
  return [...frame.subarray(0, 6)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
};

test("G9 a router that asks for a VM which has never asked for it is looked for, and then heard", () => {
  const bench = bound();
  assert.equal(question(bench), undefined);
  bench.dropsIn("arp.gateway", asks(GATEWAY_MAC));
  assert.deepEqual(question(bench), arpFrame(EVERYONE_MAC, NOBODY_MAC));
  assert.equal(question(bench), undefined);
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC), asks(GATEWAY_MAC));
  bench.dropsIn("arp.gateway", asks(OTHER_MAC));
});

const NOBODY_MAC = "00:00:00:00:00:00";
/** RFC 826: who has the gateway's address, from the VM's address. */
function arpFrame(to: string, targetMac: string): Uint8Array {
  const frame = new Uint8Array(60);
  frame.set([...mac(to), ...mac(VM), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...mac(VM), ...address(ADDRESS)]);
  frame.set([...mac(targetMac), ...address(GATEWAY)], 32);
  return frame;
}

test("G9 A9 everybody is asked at most once a second, and a reply counts for 3 s", () => {
  const bench = bound();
  bench.dropsIn("arp.gateway", asks(OTHER_MAC), asks(OTHER_MAC));
  assert.equal(whom(bench), EVERYONE_MAC);
  bench.dropsIn("arp.gateway", asks(OTHER_MAC));
  bench.wait(SECOND - 1);
  assert.equal(whom(bench), undefined);
  bench.wait(1);
  assert.equal(whom(bench), EVERYONE_MAC);
  bench.wait(3 * SECOND);
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
  const late = bound();
  late.dropsIn("arp.gateway", asks(GATEWAY_MAC));
  assert.equal(whom(late), EVERYONE_MAC);
  late.wait(3 * SECOND + 1);
  late.dropsIn("arp.gateway", arpReply(GATEWAY, GATEWAY_MAC));
});

test("G10 a gateway that fails over to another MAC is followed in 3 s", () => {
  const bench = acquainted();
  bench.dropsIn("arp.gateway", announces(OTHER_MAC));
  for (let asked = 0; asked < 3; asked++) {
    assert.deepEqual(question(bench), arpFrame(GATEWAY_MAC, GATEWAY_MAC));
    assert.equal(bench.guard.deadline, bench.now + SECOND);
    bench.wait(SECOND - 1);
    assert.equal(question(bench), undefined);
    bench.dropsIn("arp.gateway", announces(OTHER_MAC), arpReply(GATEWAY, OTHER_MAC));
    bench.wait(1);
  }
  assert.deepEqual(question(bench), arpFrame(EVERYONE_MAC, NOBODY_MAC));
  bench.passesIn(arpReply(GATEWAY, OTHER_MAC), announces(OTHER_MAC));
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, GATEWAY_MAC));
  bench.wait(SECOND);
});

test("G10 A9 a gateway that answers one of the questions stays, whoever claims its address, however often", () => {
  const bench = acquainted();
  for (let round = 0; round < 50; round++) {
    bench.dropsIn("arp.gateway", announces(OTHER_MAC), arpReply(GATEWAY, OTHER_MAC));
    for (let asked = 0; asked < 3; asked++) {
      assert.equal(whom(bench), GATEWAY_MAC);
      bench.wait(SECOND);
    }
    bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
    assert.equal(question(bench), undefined);
  }
});

test("G10 A9 what is only forged in the gateway's name is no answer", () => {
  const bench = acquainted();
  bench.dropsIn("arp.gateway", announces(OTHER_MAC));
  for (let asked = 0; asked < 3; asked++) {
    assert.equal(whom(bench), GATEWAY_MAC);
    bench.dropsIn("arp.gateway", arp({ sender: GATEWAY, target: ADDRESS, from: GATEWAY_MAC, senderMac: OTHER_MAC }));
    bench.wait(SECOND);
  }
  assert.equal(whom(bench), EVERYONE_MAC);
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
});

test("G9 G10 nothing is asked without the option, with a configured MAC, or while the VM is not bound", () => {
  for (const bench of [acquainted({ ask: false }), acquainted({ gatewayMacAddress: GATEWAY_MAC })]) {
    bench.dropsIn("arp.gateway", announces(OTHER_MAC));
    assert.equal(question(bench), undefined);
    assert.equal(bench.guard.deadline, bench.guard.binding.ipv4?.expiry);
  }
  const bench = acquainted();
  bench.dropsIn("arp.gateway", announces(OTHER_MAC));
  bench.wait(3600 * SECOND);
  assert.equal(question(bench), undefined);
  assert.equal(bench.guard.deadline, Number.POSITIVE_INFINITY);
  bench.dropsIn("arp.gateway", announces(OTHER_MAC));
  assert.equal(question(bench), undefined);
  const unbound = new Bench({ ask: true, gateway: GATEWAY });
  unbound.dropsIn("arp.gateway", announces(OTHER_MAC));
  assert.equal(question(unbound), undefined);
});
