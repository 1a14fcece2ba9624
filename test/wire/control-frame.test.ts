/** Which frames no limit holds back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isControlFrame } from "../../src/wire/control-frame.ts";

const ETHERNET = [...Array(12).fill(2)];

function ipv4(protocol: number, from: number, to: number, words = 5): number[] {
  const header = [0x40 | words, ...Array(words * 4 - 1).fill(0)];
  header[9] = protocol;
  return [...ETHERNET, 0x08, 0x00, ...header, from >> 8, from & 255, to >> 8, to & 255, 0, 0, 0, 0];
}

function ipv6(next: number, ...behind: number[]): number[] {
  const header = [0x60, ...Array(39).fill(0)];
  header[6] = next;
  return [...ETHERNET, 0x86, 0xdd, ...header, ...behind, 0, 0, 0, 0];
}

const is = (frame: number[]): boolean => isControlFrame(Uint8Array.from(frame), 0, frame.length);
const ports = (from: number, to: number): number[] => [from >> 8, from & 255, to >> 8, to & 255];

test("ARP, DHCP of both sides, neighbour and router discovery, DHCPv6 are control frames", () => {
  assert.ok(is([...ETHERNET, 0x08, 0x06, ...Array(28).fill(0)]));
  assert.ok(is(ipv4(17, 68, 67)));
  assert.ok(is(ipv4(17, 67, 68)));
  assert.ok(is(ipv4(17, 67, 67)));
  assert.ok(is(ipv4(17, 68, 67, 6)), "with an option");
  for (const type of [133, 134, 135, 136, 137]) assert.ok(is(ipv6(58, type)), String(type));
  assert.ok(is(ipv6(17, ...ports(546, 547))));
  assert.ok(is(ipv6(17, ...ports(547, 546))));
});

test("nothing else is: TCP with these ports, DNS, pings, fragments of unknown content", () => {
  assert.equal(is(ipv4(6, 68, 67)), false);
  assert.equal(is(ipv4(17, 68, 68)), false);
  assert.equal(is(ipv4(17, 5000, 67)), false);
  assert.equal(is(ipv4(17, 5000, 53)), false);
  assert.equal(is(ipv4(1, 68, 67)), false);
  assert.equal(is(ipv6(58, 128)), false);
  assert.equal(is(ipv6(6, ...ports(546, 547))), false);
  assert.equal(is(ipv6(0, 58, 0, 135, 0)), false);
  assert.equal(is([...ETHERNET, 0x88, 0xcc, ...Array(28).fill(0)]), false);
});

test("L10 a frame that is cut short anywhere is none, and nothing behind it is read", () => {
  for (const whole of [ipv4(17, 68, 67), ipv6(58, 135), ipv6(17, ...ports(546, 547))]) {
    const bytes = Uint8Array.from([...whole, ...whole]);
    const needed = whole.length - 4;
    for (let length = 0; length < needed; length++)
      assert.equal(isControlFrame(bytes, 0, length), false, String(length));
  }
});
