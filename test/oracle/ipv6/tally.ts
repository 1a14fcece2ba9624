/** Runs IPv6 sessions through two guards, counts what they reach, and tells a difference with as few steps as possible. */
import assert from "node:assert/strict";
import type { Session } from "../generate.ts";
import type { Step } from "../world.ts";
import { type Create6, createOracle6, judge6 } from "./judge.ts";

export class Tally6 {
  readonly drops = new Map<string, number>();
  readonly passes = new Map<string, number>();
  readonly paths = new Map<string, number>();
  steps = 0;
  sessions = 0;

  /** Fails at the first step about which the guards differ. */
  run(create: Create6, session: Session<Step>): void {
    const [guard, oracle] = [create(session.options), createOracle6(session.options)];
    this.sessions += 1;
    this.steps += session.steps.length;
    for (const [index, step] of session.steps.entries()) {
      const expected = judge6(oracle, step);
      if (step.kind === "frame") {
        const verdict = expected.split("\n")[0]!;
        if (verdict === "pass") add(this.passes, step.frame[12] === 0x86 ? oracle.note6 : "IPv4");
        else add(this.drops, verdict);
      }
      if (judge6(guard, step) !== expected) assert.fail(describeDifference6(create, session, index));
    }
    for (const [path, times] of oracle.reached) add(this.paths, path, times);
  }

  tell(diagnostic: (text: string) => void): void {
    const listed = (map: Map<string, number>) => [...map].sort().map(([key, number]) => `${key} ${number}`);
    diagnostic(`${this.steps} steps in ${this.sessions} sessions`);
    diagnostic(`dropped: ${listed(this.drops).join(", ")}`);
    diagnostic(`passed: ${listed(this.passes).join(", ")}`);
    diagnostic(`rare paths: ${listed(this.paths).join(", ")}`);
  }
}

function add(map: Map<string, number>, key: string, times = 1): void {
  map.set(key, (map.get(key) ?? 0) + times);
}

/** What the two say at the end of a row, without numbers that a shorter row changes; "" where they agree. */
function differ(create: Create6, session: Session<Step>, steps: readonly Step[]): string {
  const [guard, oracle] = [create(session.options), createOracle6(session.options)];
  let last = "";
  for (const step of steps) {
    const [one, other] = [judge6(guard, step), judge6(oracle, step)];
    last = one === other ? "" : `${one.split("\n")[0]} ${other.split("\n")[0]}`;
    if (last !== "" && step !== steps.at(-1)) return "earlier";
  }
  return last;
}

/** Leaves out every step without which the two still differ at the end. */
export function shrink6(create: Create6, session: Session<Step>, index: number): readonly Step[] {
  let kept = session.steps.slice(0, index + 1);
  const wanted = differ(create, session, kept);
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let end = kept.length - 1; end > 0; end -= size) {
      const fewer = [...kept.slice(0, Math.max(0, end - size)), ...kept.slice(end)];
      if (differ(create, session, fewer) === wanted) kept = fewer;
    }
  }
  return kept;
}

export function describeDifference6(create: Create6, session: Session<Step>, index: number): string {
  const steps = shrink6(create, session, index);
  const [guard, oracle] = [create(session.options), createOracle6(session.options)];
  const lines = steps.map((step) => {
    const [one, other] = [judge6(guard, step), judge6(oracle, step)];
    const verdicts = one === other ? one : `\n  guard\n    ${one}\n  oracle\n    ${other}`;
    if (step.kind !== "frame") return `  ${JSON.stringify(step)}: ${verdicts}`;
    const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");
    return `  ${step.time} ${step.direction} ${step.label}: ${verdicts}\n    ${hex(step.header)} ${hex(step.frame)}`;
  });
  const options = JSON.stringify(session.options, (_, value) => (typeof value === "bigint" ? `${value}n` : value));
  return [`seed ${session.seed}, step ${index}, options ${options}`, ...lines].join("\n");
}
