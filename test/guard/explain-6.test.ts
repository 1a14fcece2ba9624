/** What `explain` says of IPv6: the rule of which family decides, a rule that nobody wrote, an address inside an address. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { explainPolicy, explainPolicy6 } from "../../src/guard/policy-explanation.ts";
import type { Decision, PolicyQuestion } from "../../src/guard/types.ts";
import { createGuard, parseRules } from "../../src/index.ts";
import { parseCidr6 } from "../../src/policy/cidr-6.ts";
import { type KnownNetwork, NO_NETWORK } from "../../src/policy/default-layer.ts";
import { type KnownNetwork6, NO_NETWORK_6 } from "../../src/policy/default-layer-6.ts";
import { rulesInForce } from "../../src/policy/families.ts";
import { PolicyTable } from "../../src/policy/table.ts";
import { PolicyTable6 } from "../../src/policy/table-6.ts";
import { OptionError } from "../../src/user-error.ts";
import { parseIPv4 } from "../../src/wire/address.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";

const MAC = "7e:1a:00:00:00:01";
const ipv6 = (text: string): bigint => parseIPv6(text)!;

interface Rules {
  readonly allow?: string[];
  readonly block?: string[];
  readonly around?: Partial<KnownNetwork>;
  readonly around6?: Partial<KnownNetwork6>;
}

function explainer({ allow = [], block = [], around = {}, around6 = {} }: Rules) {
  const rules = rulesInForce(parseRules(allow, block), true);
  const known = { ...NO_NETWORK, ...around };
  const known6 = { ...NO_NETWORK_6, ...around6 };
  const [table, table6] = [new PolicyTable(rules, known), new PolicyTable6(rules, known6)];
  const of4 = (question: PolicyQuestion) => explainPolicy(question, table, rules, known);
  return (direction: "in" | "out", protocol: PolicyQuestion["protocol"], remote: string, port?: number) =>
    explainPolicy6({ direction, protocol, remote: ipv6(remote), port }, table6, rules, known6, of4);
}

/** `reason or pass: what decides`, and of an embedded address the same behind it. */
function asker(rules: Rules) {
  const explain = explainer(rules);
  const decided = ({ rule, default: line }: Decision): string => {
    assert.ok((rule === undefined) !== (line === undefined));
    return rule === undefined ? line! : `${rule.action} ${rule.text}${rule.impliedBy ? ` <- ${rule.impliedBy}` : ""}`;
  };
  return (...question: Parameters<typeof explain>) => {
    const answer = explain(...question);
    const { embedded } = answer;
    const whole = `${answer.reason ?? answer.verdict}: ${decided(answer)}`;
    if (embedded === undefined) return whole;
    return `${whole}; ${embedded.address} ${embedded.reason ?? embedded.verdict}: ${decided(embedded)}`;
  };
}

test("the lines of IPv6's default policy", () => {
  const ask = asker({
    allow: ["out [2001:db8::/32]:1"],
    around6: {
      routers: [ipv6("fe80::1")],
      dnsServers: [ipv6("fd12::53")],
      onLink: [parseCidr6("2606:4700::/64")!],
    },
  });
  assert.equal(ask("out", "tcp", "2607::1", 443), "pass: global");
  assert.equal(ask("out", "icmp", "fe80::1"), "pass: gateway");
  assert.equal(ask("out", "udp", "fe80::1", 9), "pass: gateway");
  assert.equal(ask("out", 1, "fe80::1"), "policy.gateway: gateway", "IPv4's ICMP");
  assert.equal(ask("out", 41, "fe80::1"), "policy.gateway: gateway");
  assert.equal(ask("out", "tcp", "fe80::2", 22), "policy.destination: not-global");
  assert.equal(ask("out", "udp", "fd12::53", 53), "pass: dns-server");
  assert.equal(ask("out", "udp", "fd12::53", 54), "policy.destination: not-global");
  assert.equal(ask("out", "tcp", "2606:4700::7", 443), "policy.on-link: on-link");
  assert.equal(ask("out", "tcp", "fd00:ec2::254", 80), "policy.metadata: metadata");
  assert.equal(ask("out", "udp", "ff02::fb", 5353), "policy.multicast: multicast");
  assert.equal(ask("out", "tcp", "::1", 80), "ipv6.loopback: loopback");
  assert.equal(ask("out", "tcp", "::ffff:8.8.8.8", 80), "ipv6.loopback: loopback");
  assert.equal(ask("in", "tcp", "2606:4700::7", 22), "pass: inbound");
  assert.equal(asker({})("in", "tcp", "::ffff:8.8.8.8", 22), "pass: inbound");
});

test("S10 a rule that nobody wrote says from which it follows", () => {
  const ask = asker({ allow: ["10.0.0.0/8"], block: ["in 0.0.0.0/0"] });
  assert.equal(ask("in", "tcp", "2607::1", 22), "policy.block: block in ::/0 <- in 0.0.0.0/0");
  assert.equal(ask("out", "tcp", "2607::1", 443), "pass: global");
});

test("I6 I7 an embedded address passes only where IPv4's rules let it pass, too, and the answer says which family decides", () => {
  const ask = asker({ allow: ["[2002::/16]:443", "::/96", "10.1.0.0/16:443"], block: ["8.8.8.8/32"] });
  const [at4, at6] = ["64:ff9b::", "2002:"];
  assert.equal(ask("out", "tcp", `${at4}1.1.1.1`, 443), "pass: global; 1.1.1.1 pass: global");
  assert.equal(ask("out", "tcp", `${at4}8.8.8.8`, 443), "policy.block: global; 8.8.8.8 policy.block: block 8.8.8.8/32");
  assert.equal(
    ask("out", "tcp", `${at4}10.0.0.1`, 443),
    "policy.destination: global; 10.0.0.1 policy.destination: not-global",
  );
  assert.equal(
    ask("out", "tcp", `${at4}10.1.0.1`, 443),
    "pass: global; 10.1.0.1 pass: allow 10.1.0.0/16:443",
    "the same port",
  );
  assert.equal(
    ask("out", "tcp", `${at4}10.1.0.1`, 80),
    "policy.destination: global; 10.1.0.1 policy.destination: not-global",
  );
  assert.equal(ask("out", "tcp", `${at4}127.0.0.1`, 80), "ipv4.loopback: global; 127.0.0.1 ipv4.loopback: loopback");
  assert.equal(
    ask("out", "tcp", `${at4}169.254.169.254`, 80),
    "policy.metadata: global; 169.254.169.254 policy.metadata: metadata",
  );
  // Closed by default, and opened by an IPv6 rule only where the address inside is open.
  assert.equal(ask("out", "tcp", `${at6}101:101::`, 80), "policy.destination: not-global; 1.1.1.1 pass: global");
  assert.equal(ask("out", "tcp", `${at6}101:101::`, 443), "pass: allow [2002::/16]:443; 1.1.1.1 pass: global");
  assert.equal(
    ask("out", "tcp", `${at6}a00:1::`, 443),
    "policy.destination: allow [2002::/16]:443; 10.0.0.1 policy.destination: not-global",
  );
  assert.equal(
    ask("out", "udp", "::192.168.1.1", 53),
    "policy.destination: allow ::/96; 192.168.1.1 policy.destination: not-global",
  );
});

test("ICMPv6 is IPv4's ICMP for an embedded address, and the NAT64 prefix is the router's", () => {
  const around = { gateway: parseIPv4("192.168.64.1")! };
  const around6 = { nat64: [parseCidr6("2001:db8:1:2::/64")!] };
  const ask = asker({ around, around6 });
  assert.equal(ask("out", "icmp", "2001:db8:1:2:c0:a840:100::"), "pass: global; 192.168.64.1 pass: gateway");
  assert.equal(ask("out", 58, "2001:db8:1:2:c0:a840:100::"), "pass: global; 192.168.64.1 pass: gateway");
  assert.equal(
    ask("out", 47, "2001:db8:1:2:c0:a840:100::"),
    "policy.gateway: global; 192.168.64.1 policy.gateway: gateway",
  );
  assert.equal(ask("out", "tcp", "2001:db8:1:3::", 80), "policy.destination: not-global");
});

test("to the VM an embedded address asks IPv4's rules where the policy is stateful, else nothing", () => {
  assert.equal(asker({ block: ["10.0.0.0/8"] })("in", "tcp", "64:ff9b::10.0.0.1", 22), "pass: inbound");
  for (const rule of ["in [2607::/32]:22", "in @host", "out 8.0.0.0/8"]) {
    const ask = asker({ allow: [rule], block: ["10.0.0.0/8"] });
    const said = "policy.block: inbound; 10.0.0.1 policy.block: block 10.0.0.0/8";
    assert.equal(ask("in", "tcp", "64:ff9b::10.0.0.1", 22), said, rule);
  }
});

test("a rule that comes before others for its port says before which, also in IPv6", () => {
  const explain = explainer({
    allow: ["[::/0]:80", "[2001:db8::7/128]:80"],
    block: ["@metadata", "2001:db8::/32", "@host", "0.0.0.0/0"],
    around6: { routers: [ipv6("2001:db8::1")] },
  });
  assert.deepEqual(explain("out", "tcp", "2001:db8::9", 80).outranks, ["2001:db8::/32"]);
  assert.deepEqual(explain("out", "tcp", "2001:db8::1", 80).outranks, ["2001:db8::/32", "@host"]);
  assert.equal(explain("out", "tcp", "2001:db8::7", 80).outranks, undefined);
  assert.equal(explain("out", "tcp", "fd00:ec2::254", 80).rule?.text, "@metadata");
});

test("without IPv6 a guard takes no rule for it and explains no address of it", () => {
  const options = { macAddress: MAC, allow: ["[2001:db8::/32]:443"] };
  const refused = { name: "OptionError", code: "SOFTNET_ERR_RULE", message: /^allow \[2001:db8::\/32\]:443 .*--ipv6/ };
  assert.throws(() => createGuard(options), refused);
  const guard = createGuard({ macAddress: MAC, block: ["10.0.0.0/8"] });
  assert.throws(() => guard.setRules(parseRules(options.allow, [])), refused);
  assert.equal(guard.rules.length, 1, "nothing has changed");
  assert.throws(
    () => guard.explain({ direction: "out", protocol: "tcp", remote: ipv6("2001:DB8::1"), port: 443 }),
    (error: Error) => error instanceof OptionError && /^2001:db8::1 is an IPv6 address, .*--ipv6$/.test(error.message),
  );
  const open = createGuard({ ...options, ipv6: true });
  assert.equal(open.setRules(parseRules(["::/0"], [])), 0);
});
