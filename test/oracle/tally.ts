/** Runs sessions through both guards and counts what they reached: drop reasons, kinds that pass, rare paths. */
import assert from "node:assert/strict";
import { describeDifference } from "./difference.ts";
import type { Session } from "./generate.ts";
import { type Create, createOracle, judge } from "./judge.ts";
import type { Step } from "./world.ts";

export class Tally {
  readonly drops = new Map<string, number>();
  readonly passes = new Map<string, number>();
  readonly paths = new Map<string, number>();
  /** Steps by the conversation that they belong to. */
  readonly topics = new Map<string, number>();
  steps = 0;
  sessions = 0;

  /** Fails at the first step about which the guards differ. */
  run(create: Create, session: Session<Step>): void {
    const guard = create(session.options);
    const oracle = createOracle(session.options);
    this.sessions += 1;
    this.steps += session.steps.length;
    for (const [index, step] of session.steps.entries()) {
      const expected = judge(oracle, step);
      if (step.kind === "frame") {
        if (step.topic !== undefined) add(this.topics, step.topic);
        const verdict = expected.split("\n")[0]!;
        if (verdict === "pass") add(this.passes, oracle.note);
        else add(this.drops, verdict);
      }
      if (judge(guard, step) !== expected) assert.fail(describeDifference(create, session, index));
    }
    for (const [path, times] of oracle.reached) add(this.paths, path, times);
  }

  tell(diagnostic: (text: string) => void): void {
    const listed = (map: Map<string, number>) => [...map].sort().map(([key, number]) => `${key} ${number}`);
    diagnostic(`${this.steps} steps in ${this.sessions} sessions`);
    for (const [topic, steps] of this.topics)
      diagnostic(`${topic}: ${steps} steps, ${((100 * steps) / this.steps).toFixed(1)} %`);
    diagnostic(`dropped: ${listed(this.drops).join(", ")}`);
    diagnostic(`passed: ${listed(this.passes).join(", ")}`);
    diagnostic(`rare paths: ${listed(this.paths).join(", ")}`);
  }
}

function add(map: Map<string, number>, key: string, times = 1): void {
  map.set(key, (map.get(key) ?? 0) + times);
}
