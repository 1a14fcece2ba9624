/** The RELEASE of DHCPv6 that softnet sends in the VM's name, byte by byte (RFC 8415), and the guard's view of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BoundIPv6Address, IPv6Lease } from "../../src/guard/types.ts";
import { leasedOf, releasesOf6 } from "../../src/networks/dhcp/release-6.ts";
import { parseMac } from "../../src/wire/address.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";
import { LEASED, leased, replying } from "../guard/ipv6/dhcpv6-support.ts";
import {
  type Bench6,
  clientId,
  dhcp6,
  iaAddress,
  iaTa,
  LINK,
  OWN,
  SERVERS,
  serverId,
  sum6,
} from "../guard/ipv6/support.ts";
import { bytes, VM } from "../guard/support.ts";

const MAC = parseMac(VM)!;
const never = Number.POSITIVE_INFINITY;
const LEASE: IPv6Lease = { server: bytes(0, 2, 9), client: bytes(0, 3, 8, 7), iaid: 0x01020304 };
const slaac = (address: string): BoundIPv6Address => ({
  family: "ipv6",
  address: parseIPv6(address)!,
  origin: "slaac",
  expiry: never,
});
const given = (address: string, lease: IPv6Lease = LEASE): BoundIPv6Address => ({
  family: "ipv6",
  address: parseIPv6(address)!,
  origin: "dhcpv6",
  expiry: 1,
  lease,
});
const frames = (...bound: BoundIPv6Address[]): Uint8Array[] => releasesOf6(MAC, bound).map(({ frame }) => frame);
const slice = (frame: Uint8Array, from: number, to = frame.length): string =>
  Buffer.from(frame.subarray(from, to)).toString("hex");
const HEX_LEASED = "20010db8000100000000000000001000";

test("every byte of it", () => {
  const [frame, ...others] = frames(slaac(LINK), given(LEASED), slaac(OWN)) as [Uint8Array];
  assert.equal(others.length, 0);
  assert.equal(slice(frame, 0, 14), "3333000100027e1a0000000186dd", "from the VM to the servers' group");
  assert.equal(slice(frame, 14, 22), "60000000004d1140", "77 bytes of UDP");
  assert.equal(slice(frame, 22, 54), "fe800000000000007c1a00fffe000001ff020000000000000000000000010002");
  assert.equal(slice(frame, 54, 60), "02220223004d", "546 to 547");
  assert.equal(sum6(17, frame.subarray(54), { source: LINK, destination: SERVERS }), 0, "its checksum is right");
  assert.equal(slice(frame, 62, 63), "08", "RELEASE");
  assert.equal(
    slice(frame, 66),
    [
      "0001 0004 00030807",
      "0002 0003 000209",
      "0008 0002 0000",
      "0003 0028 01020304 00000000 00000000",
      `0005 0018 ${HEX_LEASED} 00000000 00000000`,
    ]
      .join("")
      .replaceAll(" ", ""),
  );
});

test("addresses of one association are in one, those of others and temporary ones in their own", () => {
  const more = { ...LEASE, iaid: 5 };
  const [frame] = frames(
    slaac(LINK),
    given(LEASED),
    given("2001:db8:1::1001"),
    given("2001:db8:1::1002", more),
    given("2001:db8:1::1003", { ...more, temporary: true }),
  ) as [Uint8Array];
  const address = (last: string): string => `00050018${HEX_LEASED.slice(0, -4)}${last}${"0".repeat(16)}`;
  assert.equal(
    slice(frame, 87),
    [
      `00030044010203040000000000000000${address("1000")}${address("1001")}`,
      `00030028000000050000000000000000${address("1002")}`,
      `0004002000000005${address("1003")}`,
    ].join(""),
  );
});

test("each server, and each client of the VM's, has its own message", () => {
  const releases = releasesOf6(MAC, [
    slaac(LINK),
    given("2001:db8:1::1001"),
    given("2001:db8:1::1002", { ...LEASE, server: bytes(0, 2) }),
    given("2001:db8:1::1003", { ...LEASE, client: bytes(1, 1, 1, 1) }),
    given("2001:db8:1::1004"),
  ]);
  assert.deepEqual(
    releases.map(({ addresses }) => addresses.map((address) => Number(address & 0xfn))),
    [[1, 4], [2], [3]],
  );
});

test("without a link-local address, and without a lease, there is nothing to send", () => {
  assert.deepEqual(frames(given(LEASED), slaac(OWN)), []);
  assert.deepEqual(frames(slaac(LINK), slaac(OWN), { ...slaac(LEASED), origin: "static" }), []);
  assert.deepEqual(leasedOf([slaac(LINK), given(LEASED)]), [given(LEASED)]);
});

test("the guard lets the VM send exactly this, once", () => {
  const bench = leased();
  const [frame] = frames(...bench.guard.binding.ipv6) as [Uint8Array];
  bench.passesOut(frame);
  assert.ok(!bench.addresses.includes(LEASED));
  bench.dropsOut("dhcpv6.addresses", frame);
  assert.deepEqual(frames(...bench.guard.binding.ipv6), [], "the VM has given it back itself");
});

test("an address of an IA_TA is known as one, and the guard lets its RELEASE pass", () => {
  const bench: Bench6 = leased();
  const temporary = "2001:db8:1::2000";
  bench.passesOut(dhcp6(3, [clientId(), serverId(), iaTa(7, iaAddress(temporary))], { xid: 9 }));
  bench.passesIn(replying(9, iaTa(7, iaAddress(temporary))));
  assert.deepEqual(
    leasedOf(bench.guard.binding.ipv6).map(({ lease }) => [lease.iaid, lease.temporary]),
    [
      [7, undefined],
      [7, true],
    ],
  );
  const [frame] = frames(...bench.guard.binding.ipv6) as [Uint8Array];
  bench.passesOut(frame);
  assert.deepEqual(leasedOf(bench.guard.binding.ipv6), []);
});
