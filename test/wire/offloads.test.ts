/** G22: what a sender leaves to its network card, recognised and finished. Literal bytes, and their sums by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isLeftToCard } from "../../src/wire/offloads.ts";
import { hex } from "../capture/build.ts";

/** A SYN from 192.168.64.9:40000 to 1.1.1.1:443; its checksums are right. */
const SYN = "020000000001 020000000011 0800 4500 0028 0001 4000 4006 381c c0a84009 01010101";
const TCP = "9c40 01bb 00000001 00000000 5002 ffff";
/** c0a8 + 4009 + 0101 + 0101 + 6 + 20 = 102cd, folded. */
const PSEUDO = "02ce";
const WHOLE = "0f33";

const frame = (ip: string, checksum: string, tail = ""): Uint8Array => hex(`${ip} ${TCP} ${checksum} 0000 ${tail}`);
const left = (bytes: Uint8Array, finish = false): boolean => isLeftToCard(bytes, 0, bytes.length, finish);

test("a right frame is left alone", () => {
  const bytes = frame(SYN, WHOLE);
  assert.equal(left(bytes, true), false);
  assert.deepEqual(bytes, frame(SYN, WHOLE));
});

test("the pseudo-header's sum, with and without its length, is recognised and finished; padding is none of it", () => {
  for (const checksum of [PSEUDO, "02ba"]) {
    const bytes = frame(SYN, checksum, "ffff ffff ffff");
    assert.equal(left(bytes), true);
    assert.deepEqual(bytes, frame(SYN, checksum, "ffff ffff ffff"));
    assert.equal(left(bytes, true), true);
    assert.deepEqual(bytes, frame(SYN, WHOLE, "ffff ffff ffff"));
    assert.equal(left(bytes), false);
  }
});

test("any other wrong checksum is not", () => {
  for (const checksum of ["0000", "02cf", "fd31", "ffff"]) {
    const bytes = frame(SYN, checksum);
    assert.equal(left(bytes, true), false);
    assert.deepEqual(bytes, frame(SYN, checksum));
  }
});

test("a header checksum of 0 and a total length of 0 are filled in", () => {
  const noSum = SYN.replace("381c", "0000");
  for (const ip of [noSum, noSum.replace("0028", "0000"), SYN.replace("0028", "0000")]) {
    const bytes = frame(ip, PSEUDO);
    assert.equal(left(bytes, true), true);
    assert.deepEqual(bytes, frame(SYN, WHOLE));
  }
});

test("nothing is read or written beyond the frame, nor in what is no whole IPv4 packet", () => {
  const whole = frame(SYN, PSEUDO);
  for (let length = 0; length < whole.length; length++) {
    const bytes = whole.slice();
    assert.equal(isLeftToCard(bytes, 0, length, true), false);
    assert.deepEqual(bytes, whole);
  }
  for (const [from, to] of [
    ["0800 45", "86dd 45"],
    ["4500", "6500"],
    ["4500", "4600"],
    ["4000 4006", "2000 4006"],
    ["4000 4006", "4001 4006"],
    ["4006", "4001"],
  ] as const) {
    const bytes = frame(SYN.replace(from, to), PSEUDO);
    assert.equal(left(bytes, true), false);
  }
});

/** A SYN from 2001:db8::9 to 2606:4700::1111, port 443; its checksum is right. */
const SYN6 =
  "020000000001 020000000011 86dd 60000000 0014 06 40 20010db8000000000000000000000009 26064700000000000000000000001111";
/** 2001 + 0db8 + 0009 + 2606 + 4700 + 1111 + 6 + 20 = abf3. */
const PSEUDO6 = "abf3";
/** Of that and of 9c40 + 01bb + 0001 + 5002 + ffff = 1edfd: 299f0, folded 99f2, inverted. */
const WHOLE6 = "660d";

test("IPv6: the pseudo-header's sum is recognised and finished; in pieces, behind other headers or beyond the frame it is not", () => {
  for (const checksum of [PSEUDO6, "abdf"]) {
    const bytes = frame(SYN6, checksum, "ffff");
    assert.equal(left(bytes), true);
    assert.equal(left(bytes, true), true);
    assert.deepEqual(bytes, frame(SYN6, WHOLE6, "ffff"));
    assert.equal(left(bytes, true), false);
  }
  for (const [from, to] of [
    ["0014 06", "0014 2c"],
    ["0014 06", "0015 06"],
    ["0014 06", "0000 06"],
    ["6000", "4000"],
  ] as const) {
    const bytes = frame(SYN6.replace(from, to), PSEUDO6);
    assert.equal(left(bytes, true), false, to);
  }
  const whole = frame(SYN6, PSEUDO6);
  for (let length = 0; length < whole.length; length++)
    assert.equal(isLeftToCard(whole.slice(), 0, length, true), false);
});
