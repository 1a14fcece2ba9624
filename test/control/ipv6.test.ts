/** IPv6 on the control channel: rules of it while it is off and on, the isolation, and how an answer is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeExplanation } from "../../src/commands/ctl-text.ts";
import type { Channel } from "../../src/control/channel.ts";
import type { Events } from "../../src/control/events.ts";
import { readJson } from "../../src/control/json.ts";
import { IsolationError, LivePolicy } from "../../src/control/live-policy.ts";
import { answerRequest, type ControlTarget } from "../../src/control/methods.ts";
import { INVALID_PARAMS, RpcError } from "../../src/control/rpc.ts";
import { createGuard } from "../../src/guard/guard.ts";
import { parseRules, type Rule } from "../../src/policy/rule.ts";

function live(ipv6: boolean, allow: string[] = []) {
  const applied: (readonly Rule[])[] = [];
  const policy = new LivePolicy(parseRules(allow, []), (rules) => applied.push(rules), ipv6);
  return { policy, applied };
}

test("a set with a rule for IPv6 is refused whole while IPv6 is off, and taken while it is on", () => {
  const rules = () => parseRules(["10.0.0.0/8", "[2001:DB8::/32]:443"], []);
  const off = live(false);
  assert.throws(
    () => off.policy.set(rules),
    (error: Error) =>
      error instanceof RpcError && /^allow \[2001:db8::\/32\]:443 .* switch it on with --ipv6/.test(error.message),
  );
  assert.deepEqual([off.applied, off.policy.lists.allow], [[], []]);
  const on = live(true);
  on.policy.set(rules);
  assert.deepEqual(on.policy.lists.allow, ["10.0.0.0/8", "[2001:db8::/32]:443"]);
  assert.equal(on.applied.length, 1);
});

test("with IPv6 the isolation is decided by both families", () => {
  const isolated = live(true, ["0.0.0.0/0"]);
  isolated.policy.replace(parseRules([], []));
  assert.throws(() => isolated.policy.replace(parseRules(["0.0.0.0/0", "::/0"], [])), {
    name: "IsolationError",
    message: /^allow 0\.0\.0\.0\/0 and ::\/0 would end the VM's isolation/,
  });
  const open = live(true, ["0.0.0.0/0", "::/0"]);
  assert.throws(() => open.policy.replace(parseRules(["0.0.0.0/0"], [])), IsolationError);
  assert.throws(() => live(false).policy.replace(parseRules(["0.0.0.0/0"], [])), {
    message: /^allow 0\.0\.0\.0\/0 would end the VM's isolation/,
  });
});

test("to explain an IPv6 address while IPv6 is off is refused in one line", () => {
  const guard = createGuard({ macAddress: "7e:1a:00:00:00:01" });
  const target: ControlTarget = {
    policy: live(false).policy,
    events: {} as Events,
    isolated: true,
    status: () => ({}),
    names: () => [],
    explainName: () => ({}),
    turnLane: () => "none",
    limits: () => ({}),
    setLimits: () => {},
    explain: (question) => guard.explain(question),
  };
  const ask = (remote: string) => {
    const params = readJson(JSON.stringify({ direction: "out", protocol: "tcp", remote }));
    return answerRequest(target, { method: "softnet.explain", params } as never, {} as Channel);
  };
  assert.throws(() => ask("2001:db8:0::1"), {
    code: INVALID_PARAMS,
    message: /^2001:db8::1 is an IPv6 address, and IPv6 is off/,
  });
  assert.throws(() => ask("2001:db8:::1"), { code: INVALID_PARAMS, message: "remote is not an IPv6 address" });
  assert.throws(() => ask("10.0.0"), { code: INVALID_PARAMS, message: "remote is not an IPv4 address" });
  assert.equal(JSON.parse(ask("1.1.1.1")).verdict, "pass");
});

test("an answer about IPv6 says which rule implies the one that decides, and what an address inside makes of it", () => {
  const asked = { direction: "out", protocol: "tcp", port: 443 };
  const implied = { action: "block", text: "::/0", impliedBy: "0.0.0.0/0" };
  assert.deepEqual(
    describeExplanation({ ...asked, remote: "2607::1", verdict: "drop", reason: "policy.block", rule: implied })[0],
    'out tcp 2607::1 port 443: is dropped as policy.block, by the rule "block ::/0", which "block 0.0.0.0/0" implies',
  );
  const embedded = {
    address: "10.0.0.1",
    decides: true,
    verdict: "drop",
    reason: "policy.destination",
    default: "not-global",
  };
  const answer = {
    ...asked,
    remote: "64:ff9b::a00:1",
    verdict: "drop",
    reason: "policy.destination",
    default: "global",
  };
  assert.deepEqual(describeExplanation({ ...answer, embedded }), [
    "out tcp 64:ff9b::a00:1 port 443: is dropped as policy.destination, by the default policy (not-global), since no rule counts for 10.0.0.1, which it embeds",
    "the destination is not globally routable and no rule allows it",
    "the IPv6 address itself would pass, by the default policy (global), since no rule counts",
  ]);
  const passes = { ...embedded, address: "1.1.1.1", decides: false, verdict: "pass", default: "global" };
  assert.deepEqual(
    describeExplanation({ ...asked, remote: "64:ff9b::101:101", verdict: "pass", default: "global", embedded: passes }),
    [
      "out tcp 64:ff9b::101:101 port 443: passes, by the default policy (global), since no rule counts",
      "it embeds 1.1.1.1, which passes, by the default policy (global), since no rule counts",
    ],
  );
});
