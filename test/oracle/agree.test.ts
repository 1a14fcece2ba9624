/**
 * The guard and the second, slow and obvious guard must say the same about every frame of generated traffic: verdict
 * and reason. A run counts only when it reached every drop reason and every kind of message that may pass.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGuard } from "../../src/guard/guard.ts";
import { DROP_REASONS } from "../../src/guard/reasons.ts";
import { describeDifference, judge } from "./difference.ts";
import { generateSession } from "./generate.ts";
import { OracleGuard } from "./guard.ts";

const FRAMES = Number(
  process.env.SOFTNET_ORACLE_FRAMES ?? (process.env.SOFTNET_TEST_ALL === "1" ? 2_000_000 : 250_000),
);
const FIRST_SEED = Number(process.env.SOFTNET_ORACLE_SEED ?? 1);

/** Kinds of passing frames that a run must contain. */
const MUST_PASS = [
  ...["DISCOVER", "SELECTING", "INIT-REBOOT", "RENEWING", "REBINDING", "INFORM", "RELEASE", "DECLINE"],
  ...["OFFER", "OFFER-PROXY"],
  ...["ACK-DISCOVER", "ACK-SELECTING", "ACK-INIT-REBOOT", "ACK-RENEWING", "ACK-REBINDING", "ACK-INFORM"],
  ...["NAK-SELECTING", "NAK-INIT-REBOOT", "NAK-RENEWING", "NAK-REBINDING"],
].map((kind) => `dhcp.${kind}`);
const MUST_PASS_TOO = [
  ...["arp.probe", "arp.request", "arp.reply", "arp.ingress", "arp.conflict-reply", "arp.gateway-known"],
  ...[
    "arp.gateway-asks",
    "arp.gateway-learned",
    "arp.gateway-learned-anew",
    "ipv4.ingress",
    "ipv4.rule",
    "ipv4.gateway",
    "ipv4.dns",
    "ipv4.global",
  ],
];

test("both guards say the same about every generated frame, and the traffic reaches every reason", (t) => {
  const drops = new Map<string, number>();
  const passes = new Map<string, number>();
  const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);

  let frames = 0;
  let sessions = 0;
  for (let seed = FIRST_SEED; frames < FRAMES; seed++) {
    const session = generateSession(seed);
    const guard = createGuard(session.options);
    const oracle = new OracleGuard(session.options);
    sessions += 1;
    frames += session.steps.length;
    for (const [index, step] of session.steps.entries()) {
      const expected = judge(oracle, step);
      if (expected === "pass") count(passes, oracle.note);
      else count(drops, expected);
      if (judge(guard, step) !== expected) assert.fail(describeDifference(createGuard, session, index));
    }
  }

  t.diagnostic(`${frames} frames in ${sessions} sessions`);
  const listed = (map: Map<string, number>) => [...map].sort().map(([key, number]) => `${key} ${number}`);
  t.diagnostic(`dropped: ${listed(drops).join(", ")}`);
  t.diagnostic(`passed: ${listed(passes).join(", ")}`);
  const reasons = DROP_REASONS.map((reason) => reason.name).filter((name) => name !== "frame.truncated");
  const missing = [
    ...reasons.filter((name) => !drops.has(name)),
    ...[...MUST_PASS, ...MUST_PASS_TOO].filter((kind) => !passes.has(kind)),
  ];
  assert.deepEqual(missing, [], "the generator must reach these too");
  assert.deepEqual(
    [...drops.keys()].filter((name) => !reasons.includes(name)),
    [],
    "reasons outside the closed list",
  );
});
