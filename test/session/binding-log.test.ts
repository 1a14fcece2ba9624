import assert from "node:assert/strict";
import { test } from "node:test";
import { createGuard } from "../../src/guard/guard.ts";
import type { BoundIPv4Address, BoundIPv6Address } from "../../src/guard/types.ts";
import { BindingLog } from "../../src/session/binding-log.ts";
import { Log } from "../../src/telemetry/log.ts";
import { parseIPv4 } from "../../src/wire/address.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";

const SECOND = 1_000_000;
const HOUR = 3600 * SECOND;

function setUp() {
  const lines: Record<string, unknown>[] = [];
  const state = { time: 1000 * SECOND };
  const write = (line: string): boolean => lines.push(JSON.parse(line)) > 0;
  const log = new BindingLog(new Log({ level: "info", format: "json", write }), false, () => state.time);
  const guard = createGuard({ macAddress: "02:00:00:00:00:11", gateway: "10.0.0.1" });
  const bound = (more: Partial<BoundIPv4Address> = {}): BoundIPv4Address => ({
    family: "ipv4",
    address: parseIPv4("10.0.0.9")!,
    origin: "snooped",
    server: parseIPv4("10.0.0.1")!,
    expiry: state.time + 600 * SECOND,
    netmask: 0xffffff00,
    router: parseIPv4("10.0.0.1")!,
    dnsServers: [parseIPv4("10.0.0.1")!],
    ...more,
  });
  return { log, guard, bound, state, lines };
}

test("a renewal that changes nothing is told once an hour, however often the guest asks", () => {
  const { log, guard, bound, state, lines } = setUp();
  log.follow({ kind: "learned", bound: bound() }, guard);
  for (const end = state.time + 5 * HOUR; state.time < end; state.time += SECOND / 10) {
    log.follow({ kind: "renewed", bound: bound() }, guard);
  }
  const messages = lines.map(({ message }) => message);
  assert.deepEqual(messages, ["binding learned", ...Array(messages.length - 1).fill("binding renewed")]);
  assert.ok(messages.length - 1 <= 5, `${messages.length} lines`);
});

test("a renewal that brings something else is told at once", () => {
  const { log, guard, bound, state, lines } = setUp();
  log.follow({ kind: "learned", bound: bound() }, guard);
  state.time += SECOND;
  log.follow({ kind: "renewed", bound: bound() }, guard);
  log.follow({ kind: "renewed", bound: bound({ dnsServers: [parseIPv4("10.0.0.53")!] }) }, guard);
  log.follow({ kind: "renewed", bound: bound({ dnsServers: [parseIPv4("10.0.0.53")!] }) }, guard);
  assert.deepEqual(
    lines.map(({ message, dns }) => `${message} ${dns}`),
    ["binding learned 10.0.0.1", "binding renewed 10.0.0.53"],
  );
});

test("a guest that takes and releases its address without end writes a burst, then a line a minute with what was left out", () => {
  const { log, guard, bound, state, lines } = setUp();
  for (let round = 0; round < 6000; round++, state.time += SECOND / 10) {
    log.follow({ kind: "learned", bound: bound() }, guard);
    log.follow({ kind: "lost", bound: bound(), why: "released" }, guard);
  }
  assert.ok(lines.length >= 20 && lines.length <= 20 + 11, `${lines.length} lines in ten minutes`);
  assert.ok(Number(lines.at(-1)!["left-out"]) > 1000);
});

test("each IPv6 address has lines of its own: address, origin, seconds; a renewal that changes nothing has one an hour", () => {
  const { log, guard, bound, state, lines } = setUp();
  const slaac: BoundIPv6Address = {
    family: "ipv6",
    address: parseIPv6("2001:db8::5")!,
    origin: "slaac",
    expiry: Number.POSITIVE_INFINITY,
  };
  const leased: BoundIPv6Address = {
    ...slaac,
    address: parseIPv6("2001:db8::6")!,
    origin: "dhcpv6",
    expiry: state.time + 7200 * SECOND,
  };
  log.follow({ kind: "learned", bound: bound() }, guard);
  log.follow({ kind: "learned", bound: slaac }, guard);
  log.follow({ kind: "learned", bound: leased }, guard);
  for (let times = 0; times < 100; times++)
    for (const one of [bound(), slaac, leased]) log.follow({ kind: "renewed", bound: one }, guard);
  state.time += HOUR;
  log.follow({ kind: "renewed", bound: leased }, guard);
  log.follow({ kind: "lost", bound: slaac, why: "expired" }, guard);
  const shown = lines
    .slice(1)
    .map(({ message, address, origin, seconds, why }) => [message, address, origin ?? why, seconds]);
  assert.deepEqual(shown, [
    ["binding learned", "2001:db8::5", "slaac", "forever"],
    ["binding learned", "2001:db8::6", "dhcpv6", 7200],
    ["binding renewed", "2001:db8::6", "dhcpv6", 3600],
    ["binding lost", "2001:db8::5", "expired", undefined],
  ]);
});
