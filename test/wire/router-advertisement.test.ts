/** Router advertisements: literal bytes, as RFC 4861 4.2 and 4.6 and RFC 8106 5.1 lay them out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMac } from "../../src/wire/address.ts";
import { addToSum, foldSum } from "../../src/wire/checksum.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";
import {
  ALL_NODES,
  emitRouterAdvertisement,
  isRouterAdvertisement,
  type RouterAdvertisement,
  solicitingSource,
} from "../../src/wire/router-advertisement.ts";

const bytes = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ""), "hex");

function advertisement(more: Partial<RouterAdvertisement> = {}): RouterAdvertisement {
  return {
    sourceMac: parseMac("02:00:5e:10:20:30")!,
    destinationMac: parseMac("33:33:00:00:00:01")!,
    source: parseIPv6("fe80::1")!,
    destination: ALL_NODES,
    hopLimit: 64,
    routerLifetime: 1800,
    mtu: 1500,
    prefix: { address: parseIPv6("fd12:3456:789a:bcde::")!, validLifetime: 7200, preferredLifetime: 1800 },
    dns: [{ servers: [parseIPv6("2620:fe::fe")!], lifetime: 1800 }],
    ...more,
  };
}

const WHOLE = `
  333300000001 02005e102030 86dd
  60000000 0058 3a ff
  fe800000000000000000000000000001 ff020000000000000000000000000001
  86 00 CCCC 40 00 0708 00000000 00000000
  01 01 02005e102030
  05 01 0000 000005dc
  03 04 40 c0 00001c20 00000708 00000000 fd123456789abcde0000000000000000
  19 03 0000 00000708 2620 00fe 0000 0000 0000 0000 0000 00fe`;

test("a router advertisement, byte by byte", () => {
  // 0x92ca by hand: the ones' complement of the sum of the pseudo header's and the message's words.
  assert.deepEqual(Buffer.from(emitRouterAdvertisement(advertisement())), bytes(WHOLE.replace("CCCC", "92ca")));
});

test("its checksum is right over the pseudo header (RFC 8200 8.1)", () => {
  for (const dns of [[], [{ servers: [], lifetime: 0 }], advertisement().dns]) {
    const frame = emitRouterAdvertisement(advertisement({ dns }));
    const length = frame.length - 54;
    assert.equal(foldSum(addToSum(addToSum(length + 58, frame, 22, 32), frame, 54, length)), 0xffff);
  }
});

test("no DNS servers and no prefix, no options for them; no router, lifetime 0", () => {
  const { prefix: _, ...without } = advertisement({ routerLifetime: 0, dns: [{ servers: [], lifetime: 1800 }] });
  const frame = emitRouterAdvertisement(without);
  assert.equal(frame.length, 14 + 40 + 16 + 8 + 8);
  assert.deepEqual(Buffer.from(frame.subarray(60, 62)), bytes("0000"));
});

const SOLICITATION = bytes(`
  333300000002 7e1a00000001 86dd
  60000000 0008 3a ff
  fe8000000000000000000000000000aa ff020000000000000000000000000002
  85 00 7ba9 00000000`);

test("a router solicitation is recognized, and who sent it; nothing else is one", () => {
  const read = (frame: Uint8Array): bigint | undefined => solicitingSource(frame, 0, frame.length);
  assert.equal(read(SOLICITATION), parseIPv6("fe80::aa"));
  assert.equal(read(SOLICITATION.subarray(0, 61)), undefined);
  assert.equal(read(emitRouterAdvertisement(advertisement())), undefined);
  for (const at of [12, 13, 20, 54]) {
    const other = Buffer.from(SOLICITATION);
    other[at]! ^= 1;
    assert.equal(read(other), undefined, `byte ${at}`);
  }
});

test("an advertisement is recognized", () => {
  const frame = emitRouterAdvertisement(advertisement());
  assert.ok(isRouterAdvertisement(frame, 0, frame.length));
  assert.equal(isRouterAdvertisement(SOLICITATION, 0, SOLICITATION.length), false);
});
