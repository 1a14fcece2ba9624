/** Frames of the demo's attacks by IPv6 are what a kernel takes: sound, with right checksums, and read back. */
import assert from "node:assert/strict";
import test from "node:test";
import { behindOptions, neighbourClaim, readUdp6, routerClaim } from "../../src/demo/frames6.ts";
import { linkLocalOf, mac } from "../../src/demo/plan.ts";
import { createGuard } from "../../src/index.ts";
import { describeFrame } from "../../src/wire/describe.ts";
import { emitUdpFrame6 } from "../../src/wire/frame-6.ts";
import { FrameView } from "../../src/wire/frame-view.ts";

const MALLORY = "7e:1a:00:00:00:0b";
const mallory = { mac: mac(MALLORY), address: linkLocalOf(MALLORY) };
const router = { mac: mac("02:00:00:00:64:01"), address: (0xfe80n << 112n) | 1n };
const alice = { mac: mac("7e:1a:00:00:00:0a"), address: linkLocalOf("7e:1a:00:00:00:0a") };
const told = (frame: Uint8Array): string => describeFrame(FrameView.of(frame));

test("a hidden router advertisement is the same one behind padding", () => {
  const open = routerClaim(mallory, 1800, 0xfd00n << 112n);
  const text = "ND router advertisement from fe80::7c1a:ff:fe00:b link 7e:1a:00:00:00:0b lifetime 1800";
  assert.equal(told(open), `${text} prefix fd00::/64 valid 3600`);
  assert.equal(told(behindOptions(open)), `${told(open)} behind destination options`);
});

test("a guard takes them for what they are, also where only a right checksum passes", () => {
  const guard = createGuard({ macAddress: "7e:1a:00:00:00:0a", ipv6: true });
  assert.deepEqual(guard.ingress(routerClaim(router, 1800, 0xfd00n << 112n), 0), { verdict: "pass" });
  assert.deepEqual(guard.ingress(neighbourClaim(router.mac, router.address, alice), 1), { verdict: "pass" });
  assert.equal(guard.ingress(neighbourClaim(mallory.mac, router.address, alice), 2).reason, "nd.router");
  assert.equal(guard.ingress(routerClaim(mallory, 1800), 3).reason, "nd.router");
  assert.equal(guard.ingress(behindOptions(routerClaim(router, 1800)), 4).reason, "nd.extension");
});

test("UDP is written and read back, and nothing is read where it is not whole", () => {
  const frame = emitUdpFrame6({ ...mallory, port: 547 }, { ...alice, port: 546 }, Uint8Array.of(7, 0, 0, 1));
  const udp = readUdp6(frame);
  assert.deepEqual(udp, { source: mallory, sourcePort: 547, destinationPort: 546, at: 62, length: 4 });
  assert.equal(told(frame), "DHCPv6 REPLY xid 0x000001");
  for (let length = 0; length < frame.length; length++) assert.equal(readUdp6(frame.subarray(0, length)), undefined);
});
