/**
 * How many fragmented packets have a place, and how many fragments of packets that are not whole pass (threat rows I1, I13;
 * findings G11 and G15).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenBucket } from "../../src/guard/token-bucket.ts";
import { change, flowsOf, REMOTE, remote, tracking, udpIn, udpOut } from "./flow-support.ts";
import {
  ADDRESS,
  type Bench,
  DNS_SERVER,
  GATEWAY,
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

const PLAIN = {};
const BY_PORT = { block: ["0.0.0.0/0:9"] };
const LIVE = { live: true };
const STATEFUL = { block: ["out 10.0.0.0/8"] };
const POLICIES = Object.entries({ "without rules": PLAIN, "by port": BY_PORT, live: LIVE, stateful: STATEFUL });

/** Bytes of payload in each fragment of a packet of an MTU of 1,500. */
const PIECE = 1480;

interface Datagram extends PacketWords {
  readonly identification?: number;
  /** Bytes of IPv4 payload, UDP header included. */
  readonly length?: number;
}

const inward: PacketWords = { source: REMOTE, destination: ADDRESS, from: GATEWAY_MAC, to: VM };

/** The fragments of one datagram from the VM's port 2049 to the same one, in order. */
function pieces({ identification = 1, length = 3 * PIECE, ...words }: Datagram = {}): Uint8Array[] {
  const named = (frame: Uint8Array) => withChecksum(patch(frame, 18, identification >>> 8, identification & 255));
  const all: Uint8Array[] = [];
  for (let at = 0; at < length; at += PIECE) {
    const size = Math.min(PIECE, length - at);
    const own = { destination: REMOTE, ...words, more: at + size < length, offset: at / 8 };
    all.push(named(at === 0 ? udp(2049, 2049, own, new Uint8Array(size - 8)) : packet(UDP, new Uint8Array(size), own)));
  }
  return all;
}

const first = (words: Datagram = {}): Uint8Array => pieces(words)[0]!;
const second = (words: Datagram = {}): Uint8Array => pieces(words)[1]!;

function exhaust(bench: Bench): void {
  for (let index = 0; index < 400; index++) bench.passesOut(first({ identification: 0xffff }));
}

/* G11: places */

test("G11 a packet whose last fragment has passed has no place any more", () => {
  for (const [, options] of POLICIES) {
    const bench = tracking(options);
    const [one, two, three] = pieces();
    bench.passesOut(one!, two!, three!);
    bench.dropsOut("ipv4.fragment-unknown", two!, three!);
    // The same name stands for the next packet.
    bench.passesOut(one!, two!, three!);
  }
  const bench = tracking(STATEFUL);
  const [one, two, three] = pieces(inward);
  bench.passesIn(one!, two!, three!);
  bench.dropsIn("ipv4.fragment-unknown", two!, three!);
});

for (const [title, options] of POLICIES) {
  test(`G11 10,000 datagrams of 64 KiB within 2 s lose nothing: ${title}`, () => {
    const bench = tracking(options);
    for (let index = 0; index < 10_000; index++) {
      const whole = index < 300 || index % 100 === 0;
      // All 45 fragments of some; the others go in two.
      const length = whole ? 65_515 : 2 * PIECE;
      const datagram = { identification: index & 0xffff, length, destination: remote(index % 5) };
      for (const frame of pieces(datagram)) assert.equal(bench.out(frame), "pass", `datagram ${index}`);
      bench.wait(200);
    }
  });
}

test("G11 thousands of datagrams to the VM each second lose nothing in a stateful policy", () => {
  const bench = tracking(STATEFUL);
  for (let index = 0; index < 10_000; index++) {
    bench.passesIn(...pieces({ identification: index, ...inward }));
    bench.wait(200);
  }
});

test("G11 fragments that come twice or out of order pass, and move nothing", () => {
  const bench = tracking(PLAIN);
  const [one, two, three, four] = pieces({ length: 4 * PIECE });
  bench.passesOut(one!, three!, four!, three!, two!, two!, three!);
  // It was never whole, for the last fragment came first: it has its place still, and is whole now.
  bench.passesOut(two!, one!, two!, three!, four!);
  bench.dropsOut("ipv4.fragment-unknown", four!);
});

test("G11 only a fragment that begins at the end moves it, by its own length, and only its packet's", () => {
  const bench = tracking(PLAIN);
  const [one] = pieces();
  const at = (offset: number, length: number, more: boolean, protocol = UDP, identification = 1) =>
    withChecksum(
      patch(packet(protocol, new Uint8Array(length), { destination: REMOTE, offset, more }), 19, identification),
    );
  bench.passesOut(one!);
  // One unit before the end and one behind it, without more fragments: no end.
  bench.passesOut(at(184, 16, false), at(186, 16, false), at(185, 16, true), at(185, 16, false));
  // Ends in the middle of a unit: nothing begins there.
  bench.passesOut(at(187, 7, true), at(188, 8, false), at(187, 7, false));
  bench.passesOut(one!, at(185, 0, false));
  bench.dropsOut("ipv4.fragment-unknown", at(185, 8, true), at(185, 8, true, 6), at(185, 8, true, UDP, 2));
});

test("G11 an outsider's first fragments from one address leave others their places: 64 of one address", () => {
  const bench = tracking(STATEFUL);
  const server = { ...inward, source: remote(1) };
  bench.passesIn(...pieces({ ...server, identification: 1 }).slice(0, 2));
  for (let index = 0; index < 5000; index++) bench.passesIn(first({ ...inward, identification: index }));
  bench.passesIn(pieces({ ...server, identification: 1 })[2]!);
  bench.passesIn(...pieces({ ...server, identification: 2 }));
  // Of the flood's the newest 64 are left.
  bench.dropsIn("ipv4.fragment-unknown", second({ ...inward, identification: 4935 }));
  bench.passesIn(second({ ...inward, identification: 4936 }), second({ ...inward, identification: 4999 }));
});

test("G11 an outsider's first fragments from many addresses push out the oldest, and never close the table", () => {
  const bench = tracking(STATEFUL);
  const server = { ...inward, source: REMOTE };
  for (let index = 0; index < 5000; index++) {
    bench.passesIn(first({ ...inward, source: remote(index) }));
    // A server's datagrams between them, and the VM's own, arrive whole.
    if (index % 10 === 0) bench.passesIn(...pieces({ ...server, identification: index }));
    if (index % 10 === 5) bench.passesOut(...pieces({ identification: index }));
  }
  bench.dropsIn("ipv4.fragment-unknown", second({ ...inward, source: remote(4743) }));
  bench.passesIn(second({ ...inward, source: remote(4744) }), second({ ...inward, source: remote(4999) }));
});

test("G11 who sends to the VM cannot touch what is noted from it, and the other way round", () => {
  const bench = tracking(STATEFUL);
  const [one, two, three] = pieces();
  bench.passesOut(one!);
  for (let index = 0; index < 1000; index++) bench.passesIn(first({ ...inward, source: remote(index) }));
  bench.passesOut(two!);
  bench.dropsIn("ipv4.fragment-unknown", second({ ...inward, source: REMOTE }));
  bench.passesOut(three!);
});

test("G11 256 places and 64 of one address: exactly, and the oldest goes first", () => {
  const bench = tracking(STATEFUL);
  const of = (index: number): Datagram => ({ ...inward, source: remote(index >> 6), identification: index });
  for (let index = 0; index < 256; index++) bench.passesIn(first(of(index)));
  for (let index = 0; index < 256; index++) bench.passesIn(second(of(index)));
  // A further one of an address with 64: that address's oldest goes.
  bench.passesIn(first({ ...of(64), identification: 1000 }));
  bench.dropsIn("ipv4.fragment-unknown", second(of(64)));
  bench.passesIn(second(of(0)), second(of(65)), second(of(255)));
  // A further one of another address: the oldest of all goes.
  bench.passesIn(first({ ...inward, source: remote(99) }));
  bench.dropsIn("ipv4.fragment-unknown", second(of(0)));
  bench.passesIn(second(of(1)));
});

test("G11 a first fragment that comes again makes its packet new: age, end and time", () => {
  const bench = tracking(STATEFUL);
  const of = (identification: number): Datagram => ({ ...inward, identification });
  for (let index = 0; index < 64; index++) bench.passesIn(first(of(index)));
  bench.passesIn(second(of(0)));
  bench.wait(20 * SECOND);
  bench.passesIn(first(of(0)), first(of(64)));
  bench.dropsIn("ipv4.fragment-unknown", second(of(1)));
  bench.wait(20 * SECOND);
  bench.dropsIn("ipv4.fragment-unknown", second(of(2)));
  const [, two, three] = pieces(of(0));
  bench.passesIn(three!, two!, three!);
  bench.dropsIn("ipv4.fragment-unknown", three!);
});

test("G11 what is over has no place: others need not go for it", () => {
  const bench = tracking(STATEFUL);
  for (let index = 0; index < 200; index++) bench.passesIn(first({ ...inward, source: remote(index) }));
  bench.wait(31 * SECOND);
  for (let index = 0; index < 256; index++) bench.passesIn(first({ ...inward, source: remote(1000 + index) }));
  for (let index = 0; index < 256; index++) bench.passesIn(second({ ...inward, source: remote(1000 + index) }));
});

test("G11 a table like the specification's, slow and obvious, says the same of 60,000 random fragments", () => {
  const bench = tracking(STATEFUL);
  interface Noted {
    readonly key: string;
    readonly source: string;
    readonly since: number;
    end: number;
  }
  let noted: Noted[] = [];
  let state = 1;
  const dice = (bound: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  for (let index = 0; index < 60_000; index++) {
    const source = dice(3) === 0 ? remote(dice(400)) : remote(dice(4));
    const words = { ...inward, source, identification: dice(70), length: 3 * PIECE };
    const key = `${source} ${words.identification}`;
    const all = pieces(words);
    const which = dice(5) < 2 ? 0 : 1 + dice(2);
    const now = Math.floor(bench.now / SECOND);
    noted = noted.filter(({ since }) => now - since <= 30);
    const known = noted.find((entry) => entry.key === key);
    let expected = "pass";
    if (which === 0) {
      noted = noted.filter((entry) => entry !== known);
      const same = noted.filter((entry) => entry.source === source);
      if (same.length === 64) noted.splice(noted.indexOf(same[0]!), 1);
      else if (noted.length === 256) noted.shift();
      noted.push({ key, source, since: now, end: 1 });
    } else if (known === undefined) {
      expected = "ipv4.fragment-unknown";
    } else if (which === known.end) {
      known.end++;
      if (which === 2) noted.splice(noted.indexOf(known), 1);
    }
    assert.equal(bench.in(all[which]!), expected, `fragment ${index}`);
    bench.wait(dice(200) === 0 ? dice(20 * SECOND) : dice(20_000));
  }
});

/* G15: the rate */

for (const [title, options] of POLICIES) {
  test(`G15 a VM that completes nothing sends 400 fragments at once, then 20 a second: ${title}`, () => {
    const bench = tracking(options);
    for (let index = 0; index < 200; index++) bench.passesOut(...pieces({ identification: index }).slice(0, 2));
    bench.dropsOut("ipv4.fragment-rate", first({ identification: 1000 }), second({ identification: 199 }));
    bench.dropsOut("ipv4.fragment-unknown", second({ identification: 1000 }));
    // What is whole from the start costs nothing.
    bench.passesOut(udpOut());
    bench.wait(50_000);
    bench.passesOut(first({ identification: 1000 }));
    bench.dropsOut("ipv4.fragment-rate", second({ identification: 1000 }));
    bench.wait(10 * SECOND);
    for (let index = 0; index < 200; index++) bench.passesOut(second({ identification: 1000 }));
    bench.dropsOut("ipv4.fragment-rate", second({ identification: 1000 }), first());
  });
}

test("G15 2,000 fragments a second that never complete: at most 1,000 pass in 30 s, from one VM to any addresses", () => {
  const bench = tracking(PLAIN);
  let passed = 0;
  for (let index = 0; index < 60_000; index++) {
    const frame = first({ identification: index & 0xffff, destination: remote(index % 300) });
    if (bench.out(frame) === "pass") passed++;
    bench.wait(500);
  }
  assert.ok(passed <= 1000 && passed > 990, `${passed}`);
});

test("G15 a whole packet gives its tokens back, all of them and no more", () => {
  const bench = tracking(PLAIN);
  for (let index = 0; index < 10; index++) bench.passesOut(first({ identification: 1000 + index }));
  for (let index = 0; index < 100; index++) bench.passesOut(...pieces({ identification: index, length: 65_515 }));
  for (let index = 0; index < 390; index++) bench.passesOut(first({ identification: 2000 + (index % 64) }));
  bench.dropsOut("ipv4.fragment-rate", first());
});

test("G15 the last fragment needs a token, too", () => {
  const bench = tracking(PLAIN);
  const [one, two, three] = pieces();
  for (let index = 0; index < 398; index++) bench.passesOut(first({ identification: 9 }));
  bench.passesOut(one!, two!);
  bench.dropsOut("ipv4.fragment-rate", three!);
  bench.wait(50_000);
  bench.passesOut(three!);
  for (let index = 0; index < 3; index++) bench.passesOut(first({ identification: 9 }));
  bench.dropsOut("ipv4.fragment-rate", first({ identification: 9 }));
});

test("G15 a packet with a fragment out of order, or twice, gives nothing back, and one that begins again not for before", () => {
  const [one, two, three] = pieces();
  // Two ends: some receivers drop the second one and keep the rest.
  const far = withChecksum(patch(packet(UDP, new Uint8Array(8), { destination: REMOTE, offset: 8000 }), 19, 1));
  for (const [frames, cost] of [
    [[one, two, three], 0],
    [[one, far, two, three], 4],
    [[one, two, two, three], 4],
    [[one, three, two, three], 4],
    [[one, one, two, three], 1],
    [[one, three, one, two, three], 2],
  ] as const) {
    const bench = tracking(PLAIN);
    // Below the brim, where too much given back would show.
    for (let index = 0; index < 100; index++) bench.passesOut(first({ identification: 9 }));
    for (const frame of frames) bench.passesOut(frame!);
    for (let index = 0; index < 300 - cost; index++) bench.passesOut(first({ identification: 9 }));
    bench.dropsOut("ipv4.fragment-rate", first({ identification: 9 }));
  }
});

test("G15 a fragment that drops takes no token", () => {
  const bench = tracking({ block: ["10.0.0.0/8", "0.0.0.0/0:9"] });
  for (let index = 0; index < 500; index++) {
    bench.dropsOut("policy.block", first({ destination: "10.0.0.1" }), udpOut({ port: 9, more: true }));
    bench.dropsOut("ipv4.fragment-unknown", second({ destination: "10.0.0.1" }));
  }
  exhaust(bench);
});

test("G15 without a token a first fragment asks no rules and opens no flow", () => {
  const bench = tracking({ block: ["out 10.0.0.0/8"] });
  exhaust(bench);
  const before = flowsOf(bench);
  bench.dropsOut("ipv4.fragment-rate", udpOut({ own: 7, more: true }), first({ destination: "10.0.0.1" }));
  assert.equal(flowsOf(bench), before);
});

test("G15 a changed policy forgets the packets, not the bucket", () => {
  const bench = tracking(PLAIN);
  const [one, two, three] = pieces();
  for (let index = 0; index < 398; index++) bench.passesOut(first({ identification: 9 }));
  bench.passesOut(one!);
  change(bench, []);
  bench.dropsOut("ipv4.fragment-unknown", two!, three!);
  bench.passesOut(one!);
  bench.dropsOut("ipv4.fragment-rate", two!);
});

test("G15 fragments to the VM have no rate, under any policy", () => {
  for (const [, options] of POLICIES) {
    const bench = tracking(options);
    for (let index = 0; index < 1000; index++) bench.passesIn(first({ ...inward, identification: index }));
    bench.passesIn(udpIn());
    exhaust(bench);
  }
});

test("G15 DNS in fragments to a private server is judged as before, with a token and without", () => {
  const bench = tracking({ gateway: GATEWAY });
  bench.dropsOut("policy.destination", first({ destination: DNS_SERVER }));
  exhaust(bench);
  bench.dropsOut("ipv4.fragment-rate", first({ destination: DNS_SERVER }));
});

test("a bucket gives back no more than it has room for, and has() takes nothing", () => {
  const bucket = new TokenBucket(20, 400);
  for (let index = 0; index < 1000; index++) assert.ok(bucket.has(0));
  assert.ok(bucket.take(0));
  bucket.giveBack(1000);
  for (let index = 0; index < 400; index++) assert.ok(bucket.take(0));
  assert.ok(!bucket.has(0) && !bucket.take(0));
});
