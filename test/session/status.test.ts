/** What `status` and the event `binding` say of the VM's addresses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeStatus } from "../../src/commands/ctl-text.ts";
import { bindingOf } from "../../src/guard/binding.ts";
import { createGuard, type Guard } from "../../src/guard/guard.ts";
import type { BoundIPv6Address } from "../../src/guard/types.ts";
import type { Network } from "../../src/networks/network.ts";
import { describeAddress, describeState } from "../../src/session/status.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";

const SECOND = 1_000_000;
const MAC = "02:00:00:00:00:11";
const slaac: BoundIPv6Address = {
  family: "ipv6",
  address: parseIPv6("fe80::11")!,
  origin: "slaac",
  expiry: Number.POSITIVE_INFINITY,
};
const lease = { server: Uint8Array.of(0, 1), client: Uint8Array.of(0, 2), iaid: 7 };
const dhcpv6: BoundIPv6Address = {
  ...slaac,
  address: parseIPv6("2001:db8:0:0:1::1")!,
  origin: "dhcpv6",
  expiry: 3700 * SECOND,
  lease,
};

function stateWith(ipv6: boolean, ...addresses: BoundIPv6Address[]): Record<string, unknown> {
  const own = createGuard({ macAddress: MAC });
  const guard = {
    binding: bindingOf(addresses),
    gateway: own.gateway,
    stateful: own.stateful,
    flows: own.flows,
  } as unknown as Guard;
  const network = { label: "bridge br0", isolated: true } as Network;
  const lists = { allow: [], block: [] };
  const rest = { mac: MAC, file: null, lists, lane: { state: "none", why: "x" }, counters: undefined };
  return { ...describeState({ guard, network, ipv6, ...rest, time: 100 * SECOND, uptime: 5 }) };
}

test("status has a list of IPv6 addresses with origin and end, and without --ipv6 no such key", () => {
  assert.deepEqual(stateWith(true, slaac, dhcpv6).ipv6, [
    { address: "fe80::11", origin: "slaac", seconds: null },
    { address: "2001:db8::1:0:0:1", origin: "dhcpv6", seconds: 3600 },
  ]);
  assert.equal(stateWith(true, slaac).binding, null, "which is IPv4's");
  assert.deepEqual(stateWith(true).ipv6, []);
  assert.equal("ipv6" in stateWith(false), false);
});

test("softnet ctl status has a line for each", () => {
  const lines = (...given: Parameters<typeof stateWith>) =>
    describeStatus(stateWith(...given)).filter((line) => line.startsWith("IPv6"));
  assert.deepEqual(lines(true, slaac, dhcpv6), [
    "IPv6       fe80::11, slaac",
    "IPv6       2001:db8::1:0:0:1, dhcpv6, 1 h left",
  ]);
  assert.deepEqual(lines(true), ["IPv6       no address yet"]);
  assert.deepEqual(lines(false), []);
});

test("an event about an IPv6 address has address, origin and seconds", () => {
  const guard = createGuard({ macAddress: MAC });
  assert.deepEqual(describeAddress(dhcpv6, guard, 3800 * SECOND), {
    address: "2001:db8::1:0:0:1",
    origin: "dhcpv6",
    seconds: 0,
  });
});
