/** The guard and the second guard say the same about generated conversations under policies with names. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DROP_REASONS } from "../../../src/guard/reasons.ts";
import { OracleGuard } from "../guard.ts";
import { TCP } from "../ipv4.ts";
import { generateNames } from "./generate.ts";
import { describe, difference, say } from "./judge.ts";

const STEPS = Number(process.env.SOFTNET_ORACLE_NAME_STEPS ?? 200_000);
const FIRST_SEED = Number(process.env.SOFTNET_ORACLE_SEED ?? 1);

/** A flood, which a literal test has (guard/names/first-bytes.test.ts). */
const ELSEWHERE = ["name.full"];

/** What softnet sends itself, as `say` writes it. */
const SENT = ["answer", "to the VM", "to the network"];
const BY_TCP = "an answer to a question by TCP";

test("both guards say the same about names, questions, answers and first bytes", (t) => {
  let steps = 0;
  const reasons = new Map<string, number>();
  const sent = new Map<string, string>();
  for (let seed = FIRST_SEED; steps < STEPS; seed++) {
    const session = generateNames(seed);
    steps += session.steps.length;
    const at = difference(session.options, session.steps);
    if (at !== undefined) assert.fail(describe(session));
    if (seed % 10 !== 0) continue;
    const guard = new OracleGuard(session.options);
    for (const step of session.steps) {
      const [reason, ...lines] = say(guard, step).split("\n");
      reasons.set(reason!, (reasons.get(reason!) ?? 0) + 1);
      for (const line of lines) for (const kind of SENT) if (line.startsWith(kind)) sent.set(kind, `${reason}`);
      if (reason === "dns.denied" && step.kind === "frame" && step.frame[23] === TCP && lines.length > 1)
        sent.set(BY_TCP, "answered");
    }
  }
  const known = DROP_REASONS.map(({ name }) => name).filter((name) => /^(?:dns|name)\./.test(name));
  const missing = known.filter((name) => !reasons.has(name) && !ELSEWHERE.includes(name));
  assert.deepEqual(missing, [], "the generator must reach these too");
  for (const kind of [...SENT, BY_TCP]) assert.ok(sent.has(kind), `and that softnet sends: ${kind}`);
  t.diagnostic(
    `${steps} steps; of a tenth: ${[...reasons]
      .sort()
      .map((one) => one.join(" "))
      .join(", ")}`,
  );
});
