/**
 * What ICMP errors quote (threat row I14, finding G14): under every policy a packet that their receiver has sent. A forged one
 * would set a path MTU for ten minutes, or end a DNS query.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { put16 } from "../../src/wire/bytes.ts";
import { addToSum, checksumOf } from "../../src/wire/checksum.ts";
import {
  echoIn,
  echoOut,
  errorIn,
  errorOut,
  middle,
  quoting,
  REMOTE,
  remote,
  tcpIn,
  tcpOut,
  tracking,
  udpIn,
  udpOut,
} from "./flow-support.ts";
import {
  ADDRESS,
  Bench,
  bytes,
  Client,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  GLOBAL,
  hex,
  ICMP,
  icmp,
  join,
  MINUTE,
  NEIGHBOUR,
  NOBODY,
  packet,
  padded,
  patch,
  Server,
  UDP,
  VM,
  withChecksum,
} from "./support.ts";

const STATEFUL = { block: ["out 10.0.0.0/8"] };
const POLICIES = Object.entries({
  "without rules": {},
  "all allowed": { allow: ["0.0.0.0/0"] },
  "by port": { block: ["0.0.0.0/0:9"] },
  live: { live: true },
  stateful: STATEFUL,
});
const ERRORS = [3, 4, 11, 12];
const inward = { source: "8.8.4.4", destination: ADDRESS, from: GATEWAY_MAC, to: VM };
const outward = { destination: REMOTE };

/** Every packet that the VM sends, and every one that it gets; flows in both directions are under way then. */
function underWay(bench: Bench): { sent: readonly Uint8Array[]; got: readonly Uint8Array[] } {
  const sent = [tcpOut(), tcpOut(middle), udpOut(), echoOut(8)];
  const got = [tcpIn({ own: 22, port: 50_000 }), udpIn({ own: 161 }), echoIn(8, { identifier: 9 })];
  bench.passesOut(...sent);
  bench.passesIn(...got);
  return { sent, got };
}

for (const [title, options] of POLICIES) {
  test(`G14 errors about the VM's own packets reach it, from any router: ${title}`, () => {
    const bench = tracking(options);
    for (const frame of underWay(bench).sent) {
      for (const type of ERRORS) {
        for (const source of ["8.8.4.4", GATEWAY, REMOTE, "10.255.0.1"]) {
          bench.passesIn(errorIn(frame, { source }, type));
          // RFC 1812 4.3.2.3: as much of the packet as fits, here all of it; and padding behind it.
          bench.passesIn(packet(ICMP, quoting(frame, type, frame.length - 14), { ...inward, source }));
          bench.passesIn(padded(errorIn(frame, { source }, type), 100));
        }
      }
    }
  });

  test(`G14 the VM's errors about packets to it reach who sent them: ${title}`, () => {
    const bench = tracking(options);
    for (const frame of underWay(bench).got) {
      for (const type of ERRORS) bench.passesOut(errorOut(frame, {}, type));
    }
  });

  test(`G14 a quotation of what the VM never sent does not reach it: ${title}`, () => {
    const bench = tracking(options);
    const { sent, got } = underWay(bench);
    for (const type of ERRORS) {
      for (const source of [NEIGHBOUR, REMOTE, GATEWAY, "192.168.64.4", "192.168.65.5", NOBODY, EVERYONE]) {
        bench.dropsIn("icmp.quote", errorIn(udpOut({ source }), {}, type), errorIn(tcpOut({ source }), {}, type));
      }
      for (const frame of got) bench.dropsIn("icmp.quote", errorIn(frame, {}, type));
      for (const frame of sent) {
        for (const destination of [NEIGHBOUR, EVERYONE, "192.168.64.255", "224.0.0.1"]) {
          bench.dropsIn("icmp.quote", errorIn(frame, { destination }, type));
          bench.dropsIn("icmp.quote", errorIn(udpOut({ source: destination }), { destination }, type));
        }
      }
    }
  });

  test(`G14 the VM's quotation of what it never got does not leave it: ${title}`, () => {
    const bench = tracking(options);
    const { got, sent } = underWay(bench);
    for (const type of ERRORS) {
      for (const frame of got) {
        for (const destination of [GATEWAY, GLOBAL, remote(1)]) {
          bench.dropsOut("icmp.quote", errorOut(frame, { destination }, type));
        }
      }
      for (const frame of sent) bench.dropsOut("icmp.quote", errorOut(frame, {}, type));
      // What somebody else has sent to somebody else: the host's own DNS query, a connection of a neighbour's.
      for (const destination of [NEIGHBOUR, GLOBAL, GATEWAY, NOBODY, "192.168.64.4"]) {
        bench.dropsOut("icmp.quote", errorOut(udpIn({ destination }), {}, type));
        bench.dropsOut("icmp.quote", errorOut(tcpIn({ destination }), {}, type));
      }
      for (const source of [GATEWAY, remote(1), NEIGHBOUR]) {
        bench.dropsOut("icmp.quote", errorOut(udpIn({ source }), {}, type));
      }
    }
  });

  test(`G14 a quotation that is cut short, has options or is a later fragment drops both ways: ${title}`, () => {
    const bench = tracking(options);
    underWay(bench);
    for (const type of ERRORS) {
      const toVm = quoting(udpOut(), type);
      const fromVm = quoting(udpIn({ own: 161 }), type);
      bench.passesIn(packet(ICMP, toVm, inward));
      bench.passesOut(packet(ICMP, fromVm, outward));
      const forged = (change: (message: Uint8Array) => Uint8Array) => {
        bench.dropsIn("icmp.quote", packet(ICMP, change(toVm), inward));
        bench.dropsOut("icmp.quote", packet(ICMP, change(fromVm), outward));
      };
      for (let header = 0; header < 256; header++) {
        if (header !== 0x45) forged((message) => patch(message, 8, header));
      }
      for (let length = 8; length < 36; length++) forged((message) => message.subarray(0, length));
      for (let bit = 0; bit < 13; bit++) {
        const offset = 1 << bit;
        forged((message) => patch(message, 14, offset >>> 8, offset & 255));
      }
      // Flags are no offset.
      for (const flags of [0x20, 0x40, 0x80]) {
        bench.passesIn(packet(ICMP, patch(toVm, 14, flags), inward));
        bench.passesOut(packet(ICMP, patch(fromVm, 14, flags), outward));
      }
      // Each bit of the address that must fit.
      for (let bit = 0; bit < 32; bit++) {
        const at = 8 + 12 + (bit >>> 3);
        forged((message) => patch(message, at, message[at]! ^ (1 << (bit & 7))));
        bench.dropsOut("icmp.quote", packet(ICMP, patch(fromVm, at + 4, fromVm[at + 4]! ^ (1 << (bit & 7))), outward));
      }
      // The rest of the quotation lies behind the packet's end.
      bench.dropsIn("icmp.quote", join(packet(ICMP, toVm.subarray(0, 35), inward), toVm.subarray(35)));
      bench.dropsOut("icmp.quote", join(packet(ICMP, fromVm.subarray(0, 35), outward), fromVm.subarray(35)));
    }
  });

  test(`G14 an error in pieces drops both ways: ${title}`, () => {
    const bench = tracking(options);
    underWay(bench);
    bench.dropsIn("icmp.quote", errorIn(udpOut(), { more: true }));
    bench.dropsOut("icmp.quote", errorOut(udpIn({ own: 161 }), { more: true }));
    bench.dropsOut("ipv4.fragment-unknown", packet(ICMP, quoting(udpIn()), { ...outward, offset: 2 }));
  });
}

test("G14 what traceroute and a path MTU get for packets from byte to byte passes", () => {
  const bench = new Bench({ address: "192.168.64.5" });
  const sum = (frame: Uint8Array) => {
    const copy = patch(withChecksum(frame), 36, 0, 0);
    put16(copy, 36, checksumOf(addToSum(0, copy, 34, copy.length - 34)));
    return copy;
  };
  const probe = "4500 003c 9a02 0000 0111 0000 c0a84005 5db8d822 a0f3 829a 0028 0000";
  const expired = "4500 0038 1f00 0000 4001 0000 c0a84001 c0a84005 0b00 0000 0000 0000";
  bench.passesIn(sum(hex(`7e1a00000001 020000000064 0800 ${expired} ${probe}`)));
  const segment = "4500 05dc 7755 4000 4006 0000 c0a84005 5db8d822 9c40 01bb 0000 0001";
  const tooBig = "4500 0038 0000 0000 3f01 0000 0a00002a c0a84005 0304 0000 0000 0578";
  bench.passesIn(sum(hex(`7e1a00000001 020000000064 0800 ${tooBig} ${segment}`)));
  const foreign = segment.replace("c0a84005", "c0a84009");
  bench.dropsIn("icmp.quote", sum(hex(`7e1a00000001 020000000064 0800 ${tooBig} ${foreign}`)));
});

test("G14 one forged frame sets no path MTU on the host: a fragmentation needed about the host's own packet drops", () => {
  const bench = new Bench({ address: ADDRESS, gateway: GATEWAY });
  const hostsOwn = tcpIn({ source: GATEWAY, destination: GLOBAL });
  const needed = patch(quoting(hostsOwn), 1, 4, 0, 0, 0, 0, 0x02, 0x28);
  bench.dropsOut("icmp.quote", packet(ICMP, needed, { destination: GATEWAY }));
});

test("G14 to the VM without an address no error passes, and after its lease none to the former one", () => {
  const bench = new Bench();
  bench.dropsIn("icmp.quote", errorIn(udpOut()));
  bench.dropsIn("icmp.quote", errorIn(udpOut({ source: NOBODY }), { destination: NOBODY }));
  bench.dropsIn("icmp.quote", errorIn(udpOut({ source: EVERYONE }), { destination: EVERYONE, to: EVERYONE_MAC }));
  bench.bind(ADDRESS, new Client(), new Server({ lease: 60 }));
  bench.passesIn(errorIn(udpOut()));
  bench.wait(MINUTE);
  bench.dropsIn("ipv4.unbound", errorIn(udpOut()));
  bench.dropsIn("icmp.quote", errorIn(udpOut({ source: NEIGHBOUR }), { destination: NEIGHBOUR }));
});

test("G14 the form comes before flows: a fitting quotation of no flow is flow.icmp, in a stateful policy only", () => {
  for (const [title, options] of POLICIES) {
    const bench = tracking(options);
    const verdict = title === "stateful" ? "flow.icmp" : "pass";
    assert.equal(bench.in(errorIn(udpOut({ own: 1 }))), verdict, title);
    assert.equal(bench.out(errorOut(udpIn({ own: 1 }))), verdict, title);
  }
});

test("G14 other ICMP quotes nothing", () => {
  const bench = tracking({});
  for (const type of [0, 8, 13, 14, 17, 18, 30, 42, 255]) {
    bench.passesOut(icmp(type));
    bench.passesIn(icmp(type, inward));
  }
  // Nor does another protocol whose first byte is an error's type.
  bench.passesOut(packet(132, bytes(3, 0, 0, 0, 0, 0, 0, 0)), packet(UDP, bytes(3, 1, 3, 1, 0, 8, 0, 0)));
});
