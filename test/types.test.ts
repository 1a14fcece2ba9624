/**
 * The library's public types, used as a program would use them. Most of this is for the compiler: `@ts-expect-error`
 * fails the type check where the next line has no error.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Acknowledged,
  type Binding,
  type BindingChange,
  type BindingEnd,
  type BindingMessage,
  type BindingOrigin,
  type BoundAddress,
  type BoundIPv4Address,
  type BoundIPv6Address,
  createGuard,
  DROP_REASONS,
  type DropReason,
  type ERROR_CODES,
  type ErrorCode,
  type Explanation,
  formatRule,
  type Guard,
  type GuardOptions,
  type IPv6Lease,
  OptionError,
  type PolicyQuestion,
  parseRules,
  type RestoredAddress,
  type RestoredBinding,
  type Rule,
  UserError,
  type Verdict,
  type VerdictMessage,
} from "../src/index.ts";

/** Exactly the same type, not only one that fits. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

test("a guard is made from a MAC address alone, and judges frames", () => {
  const options: GuardOptions = { macAddress: "7e:1a:00:00:00:01" };
  const guard: Guard = createGuard(options);
  const frame = new Uint8Array(60);
  const verdict: Verdict = guard.egress(frame, performance.now() * 1000);
  assert.deepEqual(verdict, { verdict: "drop", reason: "ethernet.source" });
  assert.equal(guard.ingress(Buffer.alloc(60), 0).verdict, "drop");
  const binding: Binding = guard.binding;
  const ipv4: BoundIPv4Address | undefined = binding.ipv4;
  assert.equal(ipv4, undefined);
  assert.deepEqual(binding.addresses, []);
});

test("rules change while frames flow, and a guard explains itself", () => {
  const guard = createGuard({ macAddress: "7e:1a:00:00:00:01", live: true, reject: true });
  const rules: readonly Rule[] = parseRules(["in  10.0.0.9/8:22-22"], ["@global"]);
  assert.deepEqual(rules.map(formatRule), ["in 10.0.0.0/8:22", "@global"]);
  const ended: number = guard.setRules(rules);
  assert.equal(ended, 0);
  assert.equal(guard.stateful, true);
  const question: PolicyQuestion = { direction: "in", protocol: "tcp", remote: 0x0a000009, port: 22 };
  const explanation: Explanation = guard.explain(question);
  assert.deepEqual(explanation, { verdict: "pass", rule: { action: "allow", text: "in 10.0.0.0/8:22" } });
  assert.equal(guard.takeReset(new Uint8Array(64), 0), 0);
});

test("every option has its type, and lists may be read-only", () => {
  const rules = ["10.0.0.0/8", "@host"] as const;
  const told: string[] = [];
  const kept: RestoredAddress = {
    family: "ipv4",
    address: 3232251909,
    server: 3232251905,
    expiry: Number.POSITIVE_INFINITY,
    netmask: 0,
    router: 0,
    dnsServers: [],
    acknowledged: { source: 3232251905, sourceMac: 0x020000000064, clientIdentifier: new Uint8Array(7) },
  };
  const restored: RestoredBinding = { addresses: [kept] };
  const guard = createGuard({
    macAddress: "7e:1a:00:00:00:01",
    allow: rules,
    block: [],
    rules: parseRules(["@dns"], []),
    address: "192.168.64.5",
    gateway: "192.168.64.1",
    gatewayMacAddress: "02:00:00:00:00:64",
    dhcpServer: "192.168.64.1",
    origin: "served",
    subnet: "192.168.64.0/24",
    mtu: 1500,
    restored,
    heldElsewhere: (address) => address === 0,
    onBinding: (change) => told.push(change.kind),
  });
  assert.equal(guard.binding.ipv4?.origin, "static");

  assert.throws(() => {
    // @ts-expect-error the MAC address is required
    createGuard({});
  }, UserError);
  // @ts-expect-error no such option
  createGuard({ macAddress: "7e:1a:00:00:00:01", allowed: [] });
  // @ts-expect-error absent is not undefined
  createGuard({ macAddress: "7e:1a:00:00:00:01", gateway: undefined });
});

test("options of IPv6 have their types, and a kept IPv6 address is restored", () => {
  const lease: IPv6Lease = { server: Uint8Array.of(1), client: Uint8Array.of(2), iaid: 7 };
  const kept: BoundIPv6Address = {
    family: "ipv6",
    address: 0x20010db8000000000000000000000009n,
    origin: "dhcpv6",
    expiry: 60_000_000,
    lease,
  };
  const asked: bigint[] = [];
  const options: GuardOptions = {
    macAddress: "7e:1a:00:00:00:01",
    ipv6: true,
    router6: "fe80::1",
    router6MacAddress: "02:00:00:00:00:64",
    prefix6: "fd00::/64",
    hostAddresses6: ["fd00::1"] as const,
    allow: ["[2001:db8::/32]:443"],
    restored: { addresses: [kept] },
    heldElsewhere6: (address) => asked.push(address) > 0,
  };
  const guard = createGuard(options);
  const first: BoundIPv6Address | undefined = guard.binding.ipv6[0];
  assert.deepEqual([first?.address, first?.origin, first?.lease?.iaid], [kept.address, "dhcpv6", 7]);
  assert.equal(
    createGuard({ macAddress: "7e:1a:00:00:00:01", ipv6: true, address6: "fd00::5" }).binding.ipv6.length,
    1,
  );
  assert.deepEqual(asked, []);
  const embedded = guard.explain({ direction: "out", protocol: "tcp", remote: 0x64ff9bn << 96n }).embedded;
  same<typeof embedded, Explanation["embedded"]>(true);
  same<IPv6Lease["server"], Uint8Array>(true);
  same<Parameters<NonNullable<GuardOptions["heldElsewhere6"]>>, [address: bigint]>(true);
  same<PolicyQuestion["remote"], number | bigint>(true);
  // @ts-expect-error an IPv6 address is no number
  createGuard({ ...options, heldElsewhere6: (address: number) => address === 0 });
  // @ts-expect-error read-only
  kept.lease.iaid = 8;
});

test("verdicts, bindings and reasons are read-only, and their kinds are closed", () => {
  same<Verdict["verdict"], "pass" | "drop">(true);
  same<Verdict["reason"], string | undefined>(true);
  same<BindingOrigin, "snooped" | "served" | "static">(true);
  same<BindingEnd, "expired" | "released" | "declined" | "refused" | "replaced">(true);
  same<Binding["addresses"], readonly BoundAddress[]>(true);
  same<Binding["ipv4"], BoundIPv4Address | undefined>(true);
  same<Binding["ipv6"], readonly BoundIPv6Address[]>(true);
  same<BoundAddress, BoundIPv4Address | BoundIPv6Address>(true);
  same<BoundAddress["family"], "ipv4" | "ipv6">(true);
  same<BoundIPv6Address["address"], bigint>(true);
  same<BoundIPv6Address["origin"], "slaac" | "dhcpv6" | "static">(true);
  same<BoundIPv6Address["lease"], IPv6Lease | undefined>(true);
  same<BoundIPv4Address["dnsServers"], readonly number[]>(true);
  same<BoundIPv4Address["acknowledged"], Acknowledged | undefined>(true);
  same<RestoredAddress, Omit<BoundIPv4Address, "origin">>(true);
  same<RestoredBinding["addresses"], readonly (RestoredAddress | BoundIPv6Address)[]>(true);
  same<Guard["binding"], Binding>(true);
  same<ReturnType<Guard["egress"]>, Verdict>(true);
  same<Parameters<Guard["ingress"]>, [frame: Uint8Array, time: number]>(true);
  same<typeof DROP_REASONS, readonly DropReason[]>(true);

  const first = DROP_REASONS[0]!;
  assert.throws(() => {
    // @ts-expect-error read-only
    first.name = "frame.other";
  }, TypeError);
  assert.throws(() => {
    // @ts-expect-error read-only
    DROP_REASONS.push(first);
  }, TypeError);
  const guard = createGuard({ macAddress: "7e:1a:00:00:00:01" });
  assert.throws(() => {
    // @ts-expect-error read-only
    guard.egress(new Uint8Array(0), 0).verdict = "pass";
  }, TypeError);
});

/** Only a loss has a reason; the compiler knows from the kind. */
function told(change: BindingChange): string {
  switch (change.kind) {
    case "learned":
    case "renewed":
      // @ts-expect-error nothing was lost
      void change.why;
      return `${change.kind} ${change.bound.address}`;
    case "lost": {
      const why: BindingEnd = change.why;
      return `lost ${change.bound.address}: ${why}`;
    }
  }
}

test("a change of the binding is told apart by its kind", () => {
  const bound: BoundAddress = {
    family: "ipv4",
    address: 1,
    origin: "snooped",
    server: 2,
    expiry: Number.POSITIVE_INFINITY,
    netmask: 0,
    router: 0,
    dnsServers: [],
  };
  assert.equal(told({ kind: "learned", bound }), "learned 1");
  assert.equal(told({ kind: "lost", bound, why: "expired" }), "lost 1: expired");
});

test("a user's mistake is an error of its own class", () => {
  assert.throws(() => createGuard({ macAddress: "nonsense" }), UserError);
  assert.ok(new UserError("words") instanceof Error);
});

test("messages of the diagnostics channels have types", () => {
  same<VerdictMessage["direction"], "egress" | "ingress">(true);
  same<VerdictMessage["verdict"], Verdict["verdict"]>(true);
  same<VerdictMessage["frame"], Uint8Array>(true);
  same<BindingMessage, { readonly macAddress: string; readonly change: BindingChange }>(true);
});

test("an error of the library has a code of a closed list", () => {
  same<ErrorCode, (typeof ERROR_CODES)[number]>(true);
  same<OptionError["code"], ErrorCode>(true);
  try {
    parseRules(["nonsense"], []);
    assert.fail("it is no rule");
  } catch (error) {
    assert.ok(error instanceof OptionError);
    const code: ErrorCode = error.code;
    assert.equal(code, "SOFTNET_ERR_RULE");
    // @ts-expect-error no such code
    assert.notEqual(error.code === "SOFTNET_ERR_NONE", true);
    // @ts-expect-error read-only
    error.code = "SOFTNET_ERR_MTU";
  }
});
