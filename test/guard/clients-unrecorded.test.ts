/**
 * REBINDING behind a softnet that was started again without a record, at servers that send their ACK through the kernel
 * (dnsmasq, udhcpd): they look for the VM's MAC address first, and the VM may not tell it. Seen with the real programs
 * (test/clients). softnet asks once more, as INIT-REBOOT.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LONGEST_REQUEST } from "../../src/guard/ipv4/own-request.ts";
import { LONGEST_OWN_FRAME } from "../../src/relay/own-frames.ts";
import {
  ADDRESS,
  address,
  arp,
  Bench,
  bytes,
  Client,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  HOUR,
  join,
  MESSAGE,
  mac,
  NEIGHBOUR,
  NOBODY,
  type Option,
  SECOND,
  Server,
  UNANSWERED,
  VM,
} from "./support.ts";

const OTHER = "192.168.64.6";
const client = new Client({ xid: 7, identifier: bytes(1, 2, 3) });
const server = new Server({ lease: 3600 });
const asked = arp({ sender: GATEWAY, target: ADDRESS, from: GATEWAY_MAC, to: EVERYONE_MAC });
const told = arp({ operation: 2, target: GATEWAY, to: GATEWAY_MAC, targetMac: GATEWAY_MAC });
const everyone = { destination: EVERYONE, to: EVERYONE_MAC };
const UDP = 14 + 20;

/** What softnet asks with now. */
function question(bench: Bench): Uint8Array | undefined {
  const out = new Uint8Array(LONGEST_OWN_FRAME + 3);
  bench.guard.advance(bench.now);
  const length = bench.guard.takeQuestion(out, 3);
  return length === 0 ? undefined : out.slice(3, 3 + length);
}

/** RFC 1071, by hand: the ones' complement sum of 16-bit words, an odd last byte with a zero behind it. */
function onesComplementSum(...parts: readonly Uint8Array[]): number {
  const all = [...join(...parts), 0];
  let sum = 0;
  for (let at = 0; at + 1 < all.length; at += 2) {
    sum += all[at]! * 256 + all[at + 1]!;
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

const two = (value: number) => bytes(value >> 8, value & 255);

/** The frame that docs/guard.md asks for, from the VM's, and its two checksums judged apart. */
function assertIsCopy(sent: Uint8Array | undefined, frame: Uint8Array, own: string): void {
  assert.ok(sent !== undefined);
  const message = frame.slice(MESSAGE, UDP + frame[UDP + 4]! * 256 + frame[UDP + 5]!);
  const copy = join(message.subarray(0, 240), bytes(50, 4), address(own), message.subarray(240));
  copy.set([0x80 | message[10]!, message[11]!, 0, 0, 0, 0], 10);
  const udpLength = two(8 + copy.length);
  const ports = bytes(0, 68, 0, 67);
  const total = two(28 + copy.length);
  const ends = join(address(NOBODY), address(EVERYONE));
  const ipSum = sent.subarray(24, 26);
  const udpSum = sent.subarray(UDP + 6, UDP + 8);
  const header = join(bytes(0x45, 0), total, bytes(0, 0, 0x40, 0, 64, 17), ipSum, ends);
  const ethernet = join(mac(EVERYONE_MAC), mac(VM), bytes(8, 0));
  assert.deepEqual([...sent], [...join(ethernet, header, ports, udpLength, udpSum, copy)]);
  assert.equal(onesComplementSum(header), 0xffff);
  assert.equal(onesComplementSum(ends, bytes(0, 17), udpLength, sent.subarray(UDP)), 0xffff);
  assert.notDeepEqual([...udpSum], [0, 0], "no checksum at all");
}

/** A REBINDING whose copy has exactly this many bytes of frame. */
function rebindingOf(length: number, more: readonly Option[] = []): Uint8Array {
  const plain = 240 + 3 + 1 + more.reduce((sum, [, value]) => sum + 2 + value.length, 0);
  let left = length - MESSAGE - 6 - plain;
  const options: Option[] = [...more];
  while (left > 0) {
    const part = Math.min(left, left === 258 ? 200 : 257);
    options.push([224, new Uint8Array(part - 2).fill(0xa5)]);
    left -= part;
  }
  return new Client({ xid: 7 }).rebind(ADDRESS, { options });
}

for (const source of [NOBODY, ADDRESS]) {
  test(`G3 after a restart without a record a REBINDING from ${source} is answered without the server's ARP`, () => {
    const bench = new Bench({ ask: true });
    const frame = client.rebind(ADDRESS, { source });
    bench.passesOut(frame);
    assert.equal(bench.guard.deadline, bench.now);
    bench.passesIn(asked);
    bench.dropsOut("arp.sender-address", told);
    assertIsCopy(question(bench), frame, ADDRESS);
    assert.equal(bench.guard.deadline, Number.POSITIVE_INFINITY);
    assert.equal(question(bench), undefined);
    bench.passesIn(server.ack(client, ADDRESS, everyone));
    bench.passesOut(told);
    bench.passesIn(server.ack(client, ADDRESS));
    bench.assertOnline();
  });
}

test("D6 A1 without a record the VM tells nobody that an address is its own before a server has said so", () => {
  const bench = new Bench({ ask: true });
  bench.passesIn(asked);
  bench.dropsOut("arp.sender-address", told);
  bench.passesOut(client.rebind(ADDRESS, { source: NOBODY }));
  assert.ok(question(bench) !== undefined);
  bench.dropsOut(
    "arp.sender-address",
    told,
    arp({ operation: 2, target: NEIGHBOUR, to: GATEWAY_MAC, targetMac: GATEWAY_MAC }),
    arp({ operation: 2, target: GATEWAY, to: EVERYONE_MAC }),
    arp({ sender: ADDRESS, target: ADDRESS }),
  );
  bench.assertOffline();
  bench.passesIn(server.nak(client));
  bench.dropsOut("arp.sender-address", told);
  bench.wait(60 * SECOND + 1);
  bench.dropsOut("arp.sender-address", told);
});

test("G3 its copy is byte by byte the VM's message, of odd and even length, with and without a client identifier", () => {
  for (const length of [600, 601, LONGEST_REQUEST - 1, LONGEST_REQUEST]) {
    for (const more of [[], [[61, bytes(1, 2, 3, 4)]]] as const satisfies readonly (readonly Option[])[]) {
      const bench = new Bench({ ask: true });
      const frame = rebindingOf(length, more);
      bench.passesOut(frame);
      const sent = question(bench);
      assert.equal(sent?.length, length);
      assertIsCopy(sent, frame, ADDRESS);
    }
  }
  const bench = new Bench({ ask: true });
  const flagged = client.rebind(ADDRESS, { flags: 0x8000 });
  bench.passesOut(flagged);
  assertIsCopy(question(bench), flagged, ADDRESS);
});

test("G3 a UDP checksum of 0 is written as 0xffff, since 0 says that there is none (RFC 768)", () => {
  const bench = new Bench({ ask: true });
  const rebinding = (xid: number) => new Client({ xid }).rebind(ADDRESS);
  const message = rebinding(0x10000).subarray(MESSAGE);
  const copy = join(message.subarray(0, 240), bytes(50, 4), address(ADDRESS), message.subarray(240));
  copy.set([0x80, 0, 0, 0, 0, 0], 10);
  const length = two(8 + copy.length);
  const sum = onesComplementSum(address(EVERYONE), bytes(0, 17), length, bytes(0, 68, 0, 67), length, copy);
  // The low half of the xid is one of the words.
  const frame = rebinding(0x10000 + 0xffff - sum);
  bench.passesOut(frame);
  const sent = question(bench)!;
  assert.deepEqual([...sent.subarray(UDP + 6, UDP + 8)], [0xff, 0xff]);
  assertIsCopy(sent, frame, ADDRESS);
});

test("G3 what would be longer than an errand may be is not sent, and the next one is", () => {
  assert.equal(LONGEST_REQUEST, LONGEST_OWN_FRAME);
  const bench = new Bench({ ask: true });
  bench.passesOut(rebindingOf(LONGEST_REQUEST + 1));
  assert.equal(bench.guard.deadline, Number.POSITIVE_INFINITY);
  assert.equal(question(bench), undefined);
  const frame = rebindingOf(LONGEST_REQUEST);
  bench.passesOut(frame);
  assertIsCopy(question(bench), frame, ADDRESS);
});

test("G3 D3 one is due at a time, and none within 4 s after the last one was taken", () => {
  const bench = new Bench({ ask: true });
  const first = client.rebind(ADDRESS);
  bench.passesOut(first, new Client({ xid: 8 }).rebind(OTHER));
  bench.wait(10 * SECOND);
  assertIsCopy(question(bench), first, ADDRESS);
  bench.wait(4 * SECOND - 1);
  bench.passesOut(client.rebind(ADDRESS));
  assert.equal(question(bench), undefined);
  bench.wait(1);
  assert.equal(question(bench), undefined);
  bench.passesOut(client.rebind(ADDRESS));
  assertIsCopy(question(bench), first, ADDRESS);
});

test("G3 D6 nothing is asked without the option, for an address that is known, in another state, or for what drops", () => {
  const bound = new Bench({ ask: true });
  bound.bind();
  bound.passesOut(
    client.rebind(ADDRESS),
    new Client({ xid: 8, identifier: bytes(1, 2, 3) }).rebind(OTHER, { source: NOBODY }),
  );
  const asleep = new Bench({ ask: true });
  asleep.bind();
  asleep.wait(HOUR);
  asleep.passesOut(client.rebind(ADDRESS));
  const fixed = new Bench({ ask: true, address: ADDRESS });
  fixed.passesOut(client.rebind(ADDRESS));
  const others = new Bench({ ask: true, dhcpServer: GATEWAY });
  others.passesOut(
    client.discover(),
    new Client({ xid: 8 }).reboot(ADDRESS),
    new Client({ xid: 9 }).renew(ADDRESS, GATEWAY),
  );
  others.dropsOut("dhcp.addresses", new Client({ xid: 10 }).rebind(ADDRESS, { source: OTHER }));
  const silent = new Bench();
  silent.passesOut(client.rebind(ADDRESS));
  for (const bench of [bound, asleep, fixed, others, silent]) assert.equal(question(bench), undefined);
  const moved = new Bench({ ask: true });
  moved.bind();
  moved.wait(HOUR);
  moved.passesOut(client.rebind(OTHER));
  assert.ok(question(moved) !== undefined, "another address than the former one");
});

test("G3 a due one is forgotten when the VM is bound, and when it declines", () => {
  const bound = new Bench({ ask: true });
  bound.passesOut(client.rebind(ADDRESS));
  bound.passesIn(server.ack(client, ADDRESS));
  assert.equal(question(bound), undefined);
  assert.equal(bound.guard.deadline, bound.guard.binding.ipv4?.expiry);

  const declines = new Bench({ ask: true });
  const seeker = new Client({ xid: 8 });
  declines.passesOut(seeker.discover());
  declines.passesIn(server.offer(seeker, OTHER));
  declines.passesOut(new Client({ xid: 9 }).rebind(ADDRESS));
  declines.wait(UNANSWERED);
  declines.passesOut(seeker.decline(OTHER, GATEWAY));
  assert.equal(question(declines), undefined);
});

test("G3 D3 it takes no token of the VM's and changes nothing", () => {
  const bench = new Bench({ ask: true });
  for (let message = 0; message < 50; message++) {
    bench.passesOut(client.rebind(ADDRESS));
    question(bench);
  }
  bench.dropsOut("dhcp.rate", client.rebind(ADDRESS));
  assert.deepEqual(bench.changes, []);
});
