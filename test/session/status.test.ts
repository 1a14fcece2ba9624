/** What `status` and the event `binding` say of the VM's addresses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeStatus } from "../../src/commands/ctl-text.ts";
import { bindingOf } from "../../src/guard/binding.ts";
import { createGuard, type Guard } from "../../src/guard/guard.ts";
import type { LearnedNetwork6 } from "../../src/guard/known-network-6.ts";
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
  return stateOf(guard, ipv6);
}

function stateOf(guard: Guard, ipv6: boolean): Record<string, unknown> {
  const network = { label: "bridge br0", isolated: true } as Network;
  const lists = { allow: [], block: [] };
  const named = { mac: MAC, name: "web", labels: [], interface: "vm0" };
  const rest = {
    ...named,
    file: null,
    source: "options" as const,
    since: Date.UTC(2026, 10, 29),
    lists,
    lane: { state: "none" },
    limits: {},
    counters: undefined,
  };
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

const learned: LearnedNetwork6 = {
  router: { address: parseIPv6("fe80::1")!, mac: 0x020000000064, end: 1900 * SECOND },
  prefixes: [
    { address: parseIPv6("2001:db8:1::")!, length: 64, onLink: true, autonomous: true, end: 3700 * SECOND },
    { address: parseIPv6("2001:db8:2::")!, length: 48, onLink: true, autonomous: false, end: Number.POSITIVE_INFINITY },
  ],
  nat64: [{ address: parseIPv6("64:ff9b::")!, length: 96, end: 700 * SECOND }],
  dnsServers: [
    { address: parseIPv6("2001:db8:1::53")!, from: "router", end: 160 * SECOND },
    { address: parseIPv6("2001:db8:1::54")!, from: "dhcpv6", end: Number.POSITIVE_INFINITY },
  ],
};
const knowing = (network: LearnedNetwork6): Record<string, unknown> =>
  stateOf({ binding: bindingOf([]), learnedNetwork6: network } as unknown as Guard, true);

test("status says which router is trusted, and which prefixes and DNS servers were announced, with their ends", () => {
  assert.deepEqual(knowing(learned).network6, {
    router: { address: "fe80::1", mac: "02:00:00:00:00:64", seconds: 1800 },
    prefixes: [
      { prefix: "2001:db8:1::/64", onLink: true, autonomous: true, seconds: 3600 },
      { prefix: "2001:db8:2::/48", onLink: true, autonomous: false, seconds: null },
    ],
    nat64: [{ prefix: "64:ff9b::/96", seconds: 600 }],
    dns: [
      { address: "2001:db8:1::53", from: "router", seconds: 60 },
      { address: "2001:db8:1::54", from: "dhcpv6", seconds: null },
    ],
  });
  const nothing = { router: undefined, prefixes: [], nat64: [], dnsServers: [] };
  assert.deepEqual(knowing(nothing).network6, { router: null, prefixes: [], nat64: [], dns: [] });
  const guard = createGuard({ macAddress: MAC, ipv6: true, router6: "fe80::9" });
  const { router } = stateOf(guard, true).network6 as { router: object };
  assert.deepEqual(router, { address: "fe80::9", mac: null, seconds: null }, "configured, and not heard of yet");
  assert.equal("network6" in stateOf(createGuard({ macAddress: MAC }), false), false);
});

test("softnet ctl status has lines for them", () => {
  const lines = (state: Record<string, unknown>) =>
    describeStatus(state).filter((line) => /^(router6|prefix6|NAT64|DNS6)/.test(line));
  assert.deepEqual(lines(knowing(learned)), [
    "router6    fe80::1, 02:00:00:00:00:64, 30 min left",
    "prefix6    2001:db8:1::/64, on-link, for addresses, 1 h left",
    "prefix6    2001:db8:2::/48, on-link",
    "NAT64      64:ff9b::/96, 10 min left",
    "DNS6       2001:db8:1::53, router, 1 min left",
    "DNS6       2001:db8:1::54, dhcpv6",
  ]);
  assert.deepEqual(lines(knowing({ router: undefined, prefixes: [], nat64: [], dnsServers: [] })), [
    "router6    none yet",
  ]);
  assert.deepEqual(
    lines(knowing({ ...learned, router: { ...learned.router!, mac: -1, end: Number.POSITIVE_INFINITY } })).slice(0, 1),
    ["router6    fe80::1, its MAC address is not known yet"],
  );
  assert.deepEqual(lines(stateWith(false)), []);
});

test("an event about an IPv6 address has address, origin and seconds", () => {
  const guard = createGuard({ macAddress: MAC });
  assert.deepEqual(describeAddress(dhcpv6, guard, 3800 * SECOND), {
    address: "2001:db8::1:0:0:1",
    origin: "dhcpv6",
    seconds: 0,
  });
});
