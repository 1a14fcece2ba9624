/** DHCP messages that two readers could understand differently, and those that are cut (threat rows D14–D17, D23, D31). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIPv4 } from "../../src/wire/address.ts";
import {
  ACK,
  ADDRESS,
  address,
  Bench,
  bytes,
  Client,
  DISCOVER,
  DNS_SERVER,
  dhcp,
  GATEWAY,
  GATEWAY_MAC,
  hex,
  join,
  OFFER,
  padded,
  patch,
  REQUEST,
  rawMessage,
  VM,
  withChecksum,
  word,
} from "./support.ts";

const END = bytes(255);
const TYPE = bytes(53, 1, DISCOVER);

/** A DISCOVER whose options are exactly these bytes. */
function discover(options: Uint8Array, file?: Uint8Array, sname?: Uint8Array): Uint8Array {
  const words = { type: DISCOVER, xid: 0x11111111 };
  return dhcp(words, rawMessage(words, options, file, sname));
}

const reply = {
  op: 2,
  xid: 0x11111111,
  yiaddr: ADDRESS,
  source: GATEWAY,
  destination: ADDRESS,
  from: GATEWAY_MAC,
  to: VM,
  sourcePort: 67,
  destinationPort: 68,
} as const;

/** A reply to that DISCOVER whose options are exactly these bytes. */
function answer(options: Uint8Array, file?: Uint8Array, sname?: Uint8Array): Uint8Array {
  const words = { type: OFFER, ...reply };
  return dhcp(words, rawMessage(words, options, file, sname));
}

const option = (code: number, ...value: readonly number[]) => bytes(code, value.length, ...value);
const SERVER = join(bytes(54, 4), address(GATEWAY));
const LEASE = join(bytes(51, 4), word(3600));

/** A bench whose VM waits for offers. */
function waiting(): Bench {
  const bench = new Bench();
  bench.passesOut(discover(join(TYPE, END)));
  return bench;
}

/** Judges the same options from the VM and to it, beside the type and, in the reply, a server and a lease. */
function judgeBoth(reason: string, options: Uint8Array, file?: Uint8Array, sname?: Uint8Array): void {
  new Bench().dropsOut(reason, discover(options, file, sname));
  waiting().dropsIn(reason, answer(options, file, sname));
}

test("a whole DISCOVER as it is on the wire passes, and with any byte of its fixed form wrong it drops", () => {
  const frame = hex(`
    ffffffffffff 7e1a00000001 0800
    4500 0118 0000 0000 4011 79d6 00000000 ffffffff
    0044 0043 0104 0000
    01 01 06 00 3903f326 0000 0000 00000000 00000000 00000000 00000000
    7e1a00000001 00000000000000000000
    ${"00".repeat(192)}
    63825363 350101 3d07017e1a00000001 ff
    00000000000000000000000000000000000000`);
  new Bench().passesOut(frame);
  for (const [at, reason] of [
    [6, "ethernet.source"],
    [12, "ethernet.type"],
    [14, "ipv4.format"],
    [24, "ipv4.checksum"],
    [35, "dhcp.ports"],
    [37, "dhcp.ports"],
    [39, "dhcp.format"],
    [41, "dhcp.checksum"],
    [42, "dhcp.operation"],
    [43, "dhcp.hardware-address"],
    [44, "dhcp.hardware-address"],
    [45, "dhcp.relay"],
    [54, "dhcp.client-address"],
    [58, "dhcp.client-address"],
    [66, "dhcp.relay"],
    [70, "dhcp.hardware-address"],
    [278, "dhcp.format"],
    [281, "dhcp.format"],
    [284, "dhcp.message-type"],
  ] as const) {
    assert.equal(new Bench().out(patch(frame, at, frame[at]! ^ 0x21)), reason, `byte ${at}`);
  }
});

test("D14 fixed-length options stand once: twice drops, with the same value or another, near or far", () => {
  const values = { 50: [10, 0, 0, 1], 51: [0, 0, 1, 0], 53: [DISCOVER], 54: [10, 0, 0, 1] } as const;
  for (const [code, value] of Object.entries(values)) {
    const one = option(Number(code), ...value);
    const other = option(Number(code), ...value.map((byte) => byte + 2));
    for (const second of [one, other]) {
      const type = code === "53" ? bytes() : TYPE;
      judgeBoth("dhcp.format", join(type, one, second, END));
      judgeBoth("dhcp.format", join(one, type, new Uint8Array(100), option(12, 65), second, END));
      judgeBoth("dhcp.format", join(type, one, option(52, 1), END), join(second, END));
      judgeBoth("dhcp.format", join(type, one, option(52, 2), END), undefined, join(second, END));
      judgeBoth("dhcp.format", join(type, option(52, 3), END), join(one, END), join(second, END));
    }
  }
});

test("D14 fixed-length options of another length drop", () => {
  for (const code of [50, 51, 54]) {
    for (const length of [0, 1, 3, 5, 8])
      judgeBoth("dhcp.format", join(TYPE, option(code, ...new Uint8Array(length)), END));
  }
  for (const length of [0, 2, 4]) judgeBoth("dhcp.format", join(option(53, ...new Uint8Array(length).fill(1)), END));
});

test("D14 without an overload, sname and file are no options, whatever is in them", () => {
  const hidden = join(option(53, REQUEST), option(50, 1, 2, 3, 4), bytes(54, 200));
  new Bench().passesOut(discover(join(TYPE, END), hidden, hidden));
  waiting().passesIn(answer(join(option(53, OFFER), SERVER, LEASE, END), hidden, hidden));
});

test("D14 an overload of 1 reads file, of 2 sname, of 3 both, and nothing else", () => {
  const second = join(option(53, DISCOVER), END);
  for (const [overload, file, sname] of [
    [1, true, false],
    [2, false, true],
    [3, true, true],
  ] as const) {
    assert.equal(
      new Bench().out(discover(join(TYPE, option(52, overload), END), second)),
      file ? "dhcp.format" : "pass",
    );
    assert.equal(
      new Bench().out(discover(join(TYPE, option(52, overload), END), undefined, second)),
      sname ? "dhcp.format" : "pass",
    );
  }
});

test("D14 the message type may hide in file or sname and is found there", () => {
  for (const [overload, file, sname] of [
    [1, join(TYPE, END), undefined],
    [2, undefined, join(TYPE, END)],
    [3, join(TYPE, END), undefined],
    [3, undefined, join(TYPE, END)],
  ] as const) {
    new Bench().passesOut(discover(join(option(52, overload), END), file, sname));
  }
  new Bench().dropsOut("dhcp.message-type", discover(join(option(52, 1), END), join(option(53, OFFER), END)));
  new Bench().dropsOut("dhcp.relay", discover(join(TYPE, option(52, 2), END), undefined, join(option(82, 1, 0), END)));
  new Bench().dropsOut("dhcp.format", discover(join(option(52, 2), END), join(TYPE, END)));
});

test("D14 an overload that stands twice, has another length or another value drops", () => {
  for (const value of [0, 4, 5, 128, 255]) judgeBoth("dhcp.format", join(TYPE, option(52, value), END));
  judgeBoth("dhcp.format", join(TYPE, option(52), END));
  judgeBoth("dhcp.format", join(TYPE, option(52, 1, 1), END));
  judgeBoth("dhcp.format", join(TYPE, option(52, 1), option(52, 1), END));
  judgeBoth("dhcp.format", join(TYPE, option(52, 1), END), join(option(52, 2), END));
  judgeBoth("dhcp.format", join(TYPE, option(52, 2), END), undefined, join(option(52, 2), END));
});

test("D14 file and sname end where they end: an option that runs on drops, one that fits exactly passes", () => {
  const exactly = (length: number) => join(bytes(12, length - 2), new Uint8Array(length - 2));
  new Bench().passesOut(discover(join(TYPE, option(52, 3), END), exactly(128), exactly(64)));
  judgeBoth("dhcp.format", join(TYPE, option(52, 1), END), patch(exactly(128), 1, 127));
  judgeBoth("dhcp.format", join(TYPE, option(52, 2), END), undefined, patch(exactly(64), 1, 63));
  judgeBoth("dhcp.format", join(TYPE, option(52, 1), END), join(new Uint8Array(127), bytes(12)));
  judgeBoth("dhcp.format", join(TYPE, option(52, 2), END), undefined, join(new Uint8Array(63), bytes(255 - 1)));
});

test("D14 pads stand anywhere, and what follows an end option is not read", () => {
  new Bench().passesOut(
    discover(join(bytes(0, 0, 0), TYPE, bytes(0), option(12, 65), bytes(0, 0), END)),
    discover(join(TYPE, END, option(53, REQUEST), bytes(12, 255))),
    discover(join(TYPE, END, new Uint8Array(300).fill(0xa5))),
  );
  new Bench().dropsOut("dhcp.format", discover(join(END, TYPE)));
  new Bench().passesOut(discover(join(TYPE, option(52, 1), END), join(END, TYPE)));
});

test("D14 client identifiers, routers, masks and DNS servers are put together in the order options, file, sname", () => {
  const bench = new Bench();
  const request = new Client();
  bench.passesOut(request.reboot(ADDRESS));
  const words = { type: ACK, ...reply };
  const ack = dhcp(
    words,
    rawMessage(
      words,
      join(
        option(53, ACK),
        SERVER,
        LEASE,
        option(52, 3),
        option(6, 192, 168),
        option(1, 255, 255),
        option(3, 192),
        END,
      ),
      join(option(6, 64), option(1, 255), option(3, 168, 64), END),
      join(option(6, 53), option(1, 0), option(3, 1, 10, 0, 0, 1), END),
    ),
  );
  bench.passesIn(ack);
  const { netmask, router, dnsServers } = bench.guard.binding.ipv4!;
  assert.deepEqual(
    [formatIPv4(netmask), formatIPv4(router), dnsServers.map(formatIPv4)],
    ["255.255.255.0", GATEWAY, [DNS_SERVER]],
  );
});

test("D14 a lease time and a server in file and sname count", () => {
  const bench = new Bench();
  bench.passesOut(new Client().reboot(ADDRESS));
  const words = { type: ACK, ...reply };
  bench.dropsIn(
    "dhcp.lease-time",
    dhcp(words, rawMessage(words, join(option(53, ACK), SERVER, END), join(LEASE, END))),
  );
  bench.dropsIn("dhcp.server", dhcp(words, rawMessage(words, join(option(53, ACK), LEASE, END), join(SERVER, END))));
  bench.passesIn(
    dhcp(words, rawMessage(words, join(option(53, ACK), option(52, 3), END), join(LEASE, END), join(SERVER, END))),
  );
  assert.deepEqual([bench.bound, formatIPv4(bench.guard.binding.ipv4!.server)], [ADDRESS, GATEWAY]);
});

test("D14 a client identifier of 255 bytes passes, one of 256 drops, however it is cut", () => {
  const part = (length: number) => option(61, ...new Uint8Array(length).fill(7));
  new Bench().passesOut(discover(join(TYPE, part(255), END)), discover(join(TYPE, part(200), part(55), END)));
  judgeBoth("dhcp.format", join(TYPE, part(255), part(1), END));
  judgeBoth("dhcp.format", join(TYPE, part(140), option(52, 1), END), join(part(100), part(16), END));
  judgeBoth("dhcp.format", join(TYPE, part(156), option(52, 1), END), join(part(100), END));
});

test("D14 options of length 0 that need no value are harmless", () => {
  const empty = Array.from({ length: 254 }, (_, index) => index + 1).filter(
    (code) => ![50, 51, 52, 53, 54, 82].includes(code),
  );
  new Bench().passesOut(discover(join(TYPE, ...empty.map((code) => option(code)), END)));
  const bench = waiting();
  bench.passesIn(answer(join(option(53, OFFER), SERVER, LEASE, ...empty.map((code) => option(code)), END)));
});

test("D15 no cookie, a wrong cookie, BOOTP without a type: dropped in both directions", () => {
  const words = { type: DISCOVER };
  const good = rawMessage(words, join(TYPE, END));
  for (const cookie of ["00000000", "63825364", "62825363", "63538263", "53638263"]) {
    const message = good.slice();
    message.set(hex(cookie), 236);
    new Bench().dropsOut("dhcp.format", dhcp(words, message));
    waiting().dropsIn("dhcp.format", dhcp({ ...words, ...reply }, message));
  }
  judgeBoth("dhcp.format", END);
  judgeBoth("dhcp.format", bytes());
  judgeBoth("dhcp.format", new Uint8Array(60));
  judgeBoth("dhcp.format", join(option(12, 65), END));
});

test("D16 messages of every size up to the MTU are read to their end", () => {
  const filler = (length: number) => {
    const parts: Uint8Array[] = [];
    for (let rest = length; rest > 0; rest -= 257) parts.push(option(43, ...new Uint8Array(Math.min(rest, 257) - 2)));
    return join(...parts);
  };
  for (const size of [0, 60, 308, 336, 1000, 1500 - 20 - 8 - 240 - 4]) {
    new Bench().passesOut(discover(join(filler(size), TYPE, END)));
    judgeBoth("dhcp.format", join(filler(size), TYPE.subarray(0, 2)));
    new Bench().dropsOut("dhcp.message-type", discover(join(filler(size), option(53, 9), END)));
  }
});

test("D17 DHCP in fragments drops, in both directions", () => {
  const first = withChecksum(patch(discover(join(TYPE, END)), 20, 0x20, 0));
  const incoming = withChecksum(patch(answer(join(option(53, OFFER), SERVER, LEASE, END)), 20, 0x20, 0));
  new Bench().dropsOut("dhcp.fragment", first);
  waiting().dropsIn("dhcp.fragment", incoming);
  const later = withChecksum(patch(discover(join(TYPE, END)), 20, 0, 30));
  new Bench().dropsOut("ipv4.unbound", later);
});

test("D17 DHCP behind IPv4 options drops, in both directions", () => {
  const lengthened = (frame: Uint8Array) => {
    const total = frame.length - 14 + 4;
    const longer = join(frame.subarray(0, 34), bytes(1, 1, 1, 0), frame.subarray(34));
    return withChecksum(patch(patch(longer, 14, 0x46), 16, total >>> 8, total & 255));
  };
  new Bench().dropsOut("ipv4.options", lengthened(discover(join(TYPE, END))));
  waiting().dropsIn("ipv4.options", lengthened(answer(join(option(53, OFFER), SERVER, LEASE, END))));
});

test("D17 the UDP length is the IPv4 payload's, to the byte; Ethernet padding behind is nobody's", () => {
  const frame = discover(join(TYPE, END));
  const length = frame.length - 34;
  for (const wrong of [0, 7, 8, length - 1, length + 1, 0xffff]) {
    new Bench().dropsOut("dhcp.format", patch(frame, 38, wrong >>> 8, wrong & 255, 0, 0));
    waiting().dropsIn(
      "dhcp.format",
      patch(answer(join(option(53, OFFER), SERVER, LEASE, END)), 38, wrong >>> 8, wrong & 255, 0, 0),
    );
  }
  new Bench().passesOut(padded(frame, frame.length + 40).fill(0xa5, frame.length));
});

test("D17 a UDP checksum that is there and wrong drops; none at all is fine", () => {
  const frame = discover(join(TYPE, END));
  const incoming = answer(join(option(53, OFFER), SERVER, LEASE, END));
  for (let bit = 0; bit < 16; bit++) {
    const at = 40 + (bit >>> 3);
    new Bench().dropsOut("dhcp.checksum", patch(frame, at, frame[at]! ^ (1 << (bit & 7))));
    waiting().dropsIn("dhcp.checksum", patch(incoming, at, incoming[at]! ^ (1 << (bit & 7))));
  }
  new Bench().passesOut(patch(frame, 40, 0, 0));
  waiting().passesIn(patch(incoming, 40, 0, 0));
});

test("D23 an option whose length is missing, or runs past the end, drops", () => {
  judgeBoth("dhcp.format", join(TYPE, bytes(12)));
  judgeBoth("dhcp.format", join(TYPE, bytes(12, 1)));
  judgeBoth("dhcp.format", join(TYPE, bytes(12, 5, 1, 2, 3, 4)));
  judgeBoth("dhcp.format", join(TYPE, bytes(61, 255), new Uint8Array(254)));
  judgeBoth("dhcp.format", bytes(53));
  judgeBoth("dhcp.format", bytes(53, 1));
  judgeBoth("dhcp.format", join(TYPE, bytes(254)));
});

test("D23 the option area needs no end option when it ends exactly", () => {
  new Bench().passesOut(
    discover(TYPE),
    discover(join(TYPE, bytes(0, 0))),
    discover(join(TYPE, option(12, 65))),
    discover(join(TYPE, option(12))),
  );
});

test("D31 a message cut short drops at every length, in both directions", () => {
  const words = { type: DISCOVER };
  const whole = rawMessage(words, TYPE);
  for (let length = 0; length < whole.length; length++) {
    new Bench().dropsOut("dhcp.format", dhcp(words, whole.subarray(0, length)));
    waiting().dropsIn("dhcp.format", dhcp({ ...words, ...reply }, whole.subarray(0, length)));
  }
  new Bench().passesOut(dhcp(words, whole));
});

test("D31 a message cut short by the frame, not by its UDP length, drops too", () => {
  const frame = discover(TYPE);
  for (let length = 42; length < frame.length; length++) new Bench().dropsOut("ipv4.format", frame.subarray(0, length));
});

test("0.0.0.0 in options 50 and 54 counts as their absence", () => {
  const zero = bytes(0, 0, 0, 0);
  const words = { type: REQUEST, options: [[50, zero]] } as const;
  new Bench().dropsOut("dhcp.format", dhcp(words), dhcp({ ...words, options: [...words.options, [54, zero]] }));
  new Bench().passesOut(
    dhcp({
      type: REQUEST,
      options: [
        [50, address(ADDRESS)],
        [54, zero],
      ],
    }),
  );
  new Bench().passesOut(dhcp({ type: DISCOVER, options: [[50, zero]] }));
});
