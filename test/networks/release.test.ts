/**
 * The DHCPRELEASE that softnet sends in the VM's name, byte by byte (RFC 2131 4.4.4 and table 5, RFC 2132), and that the
 * guard would have let the VM send the very same.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BoundIPv4Address } from "../../src/guard/types.ts";
import { isReleasable, releaseFrame, sendRelease } from "../../src/networks/dhcp/release.ts";
import { Batch, strideFor } from "../../src/relay/batch.ts";
import { parseIPv4, parseMac } from "../../src/wire/address.ts";
import { ADDRESS, Bench, bytes, Client, GATEWAY, GATEWAY_MAC, hex, Server, VM } from "../guard/support.ts";
import { FakePort } from "../relay/fakes.ts";

const MAC = parseMac(VM)!;
const BOUND: BoundIPv4Address = {
  family: "ipv4",
  address: parseIPv4(ADDRESS)!,
  origin: "snooped",
  server: parseIPv4(GATEWAY)!,
  expiry: 1,
  netmask: 0,
  router: 0,
  dnsServers: [],
  acknowledged: {
    source: parseIPv4(GATEWAY)!,
    sourceMac: parseMac(GATEWAY_MAC)!,
    clientIdentifier: hex("01 7e1a00000001"),
  },
};
const { clientIdentifier: _, ...PLAIN } = BOUND.acknowledged!;

const slice = (frame: Uint8Array, from: number, to: number): string =>
  Buffer.from(frame.subarray(from, to)).toString("hex");

test("every byte of it", () => {
  const frame = releaseFrame(MAC, BOUND, 0x12345678);
  assert.equal(slice(frame, 0, 14), "0200000000647e1a000000010800", "from the VM to where the ACK came from");
  assert.equal(slice(frame, 23, 24), "11", "UDP");
  assert.equal(slice(frame, 26, 34), "c0a84005c0a84001", "from the VM's address to the server's");
  assert.equal(slice(frame, 34, 38), "00440043", "68 to 67");
  assert.equal(slice(frame, 42, 46), "01010600", "a request, Ethernet, 6 bytes, no hops");
  assert.equal(slice(frame, 46, 50), "12345678");
  assert.equal(slice(frame, 50, 54), "00000000", "secs and flags");
  assert.equal(slice(frame, 54, 70), "c0a84005000000000000000000000000", "ciaddr alone");
  assert.equal(slice(frame, 70, 86), "7e1a0000000100000000000000000000", "chaddr");
  assert.match(slice(frame, 86, 278), /^0+$/, "sname and file");
  assert.equal(slice(frame, 278, 282), "63825363");
  assert.match(slice(frame, 282, frame.length), /^3501073604c0a840013d07017e1a00000001ff0*$/);
});

test("a client that asked without an identifier gives back without one", () => {
  const frame = releaseFrame(MAC, { ...BOUND, acknowledged: PLAIN }, 1);
  assert.match(slice(frame, 282, frame.length), /^3501073604c0a84001ff0*$/);
});

test("the longest identifier is whole", () => {
  const clientIdentifier = new Uint8Array(255).fill(0xab);
  const frame = releaseFrame(MAC, { ...BOUND, acknowledged: { ...PLAIN, clientIdentifier } }, 1);
  assert.match(slice(frame, 282, frame.length), /^3501073604c0a840013dff(?:ab){255}ff$/);
});

test("where nobody knows from where the ACK came, it is broadcast on the wire, not in IP", () => {
  const { acknowledged: __, ...rest } = BOUND;
  const odd = [
    rest,
    { ...BOUND, acknowledged: { ...PLAIN, sourceMac: 0 } },
    { ...BOUND, acknowledged: { ...PLAIN, sourceMac: parseMac("01:00:5e:00:00:01")! } },
  ];
  for (const bound of odd) {
    const frame = releaseFrame(MAC, bound, 1);
    assert.equal(slice(frame, 0, 6), "ffffffffffff");
    assert.equal(slice(frame, 30, 34), "c0a84001");
  }
});

test("the guard lets the VM send exactly this, once", () => {
  for (const identifier of [undefined, bytes(1, 2, 3), new Uint8Array(255).fill(7)]) {
    const bench = new Bench();
    bench.bind(ADDRESS, new Client(identifier && { identifier }), new Server());
    const frame = releaseFrame(MAC, bench.guard.binding.ipv4!, 77);
    bench.passesOut(frame);
    assert.deepEqual(bench.changes.at(-1)?.kind, "lost");
    bench.dropsOut("dhcp.client-address", frame);
  }
});

test("only what was learned from the network's own server is given back", () => {
  assert.ok(isReleasable(BOUND));
  assert.ok(!isReleasable(undefined));
  assert.ok(!isReleasable({ ...BOUND, origin: "served" }));
  assert.ok(!isReleasable({ ...BOUND, origin: "static" }));
  assert.ok(!isReleasable({ ...BOUND, server: 0 }));
});

const batchFor = (mtu: number) => new Batch(new Uint8Array(2 * strideFor(mtu)), 0, 2, strideFor(mtu));

test("it goes out through the port, as the only frame of its batch", () => {
  const port = new FakePort("network");
  const batch = batchFor(1514);
  batch.count = 2;
  sendRelease(port, batch, MAC, BOUND);
  assert.equal(port.taken.length, 1);
  const [frame] = port.taken as [number[]];
  const sent = Uint8Array.from(frame);
  const xid = Number.parseInt(slice(sent, 46, 50), 16);
  assert.deepEqual(sent, releaseFrame(MAC, BOUND, xid));
});

test("with an MTU below what DHCP needs nothing is sent", () => {
  const port = new FakePort("network");
  sendRelease(port, batchFor(100), MAC, BOUND);
  assert.deepEqual(port.taken, []);
});
