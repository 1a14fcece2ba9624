/** Where two guards differ on a session, told with as few frames as possible. */
import type { GuardOptions, Verdict } from "../../src/guard/types.ts";
import type { Session, Step } from "./generate.ts";
import { OracleGuard } from "./guard.ts";

export interface Judge {
  egress(frame: Uint8Array, time: number): Verdict;
  ingress(frame: Uint8Array, time: number): Verdict;
}

export type Create = (options: GuardOptions) => Judge;

/** "pass", or the drop reason. */
export function judge(guard: Judge, step: Step): string {
  const verdict = guard[step.direction](step.frame, step.time);
  return verdict.reason ?? verdict.verdict;
}

/** The first step about which the two say different things, or -1. */
function firstDifference(create: Create, options: GuardOptions, steps: readonly Step[]): number {
  const [guard, oracle] = [create(options), new OracleGuard(options)];
  return steps.findIndex((step) => judge(guard, step) !== judge(oracle, step));
}

/** Leaves out every step without which the two still differ in the same way at the end. */
export function shrink(create: Create, options: GuardOptions, steps: readonly Step[]): readonly Step[] {
  let kept = steps.slice(0, firstDifference(create, options, steps) + 1);
  const told = (row: readonly Step[]): string => {
    const [guard, oracle] = [create(options), new OracleGuard(options)];
    let last = "";
    for (const step of row) {
      const [one, other] = [judge(guard, step), judge(oracle, step)];
      last = one === other ? "" : `${one} ${other}`;
    }
    return last;
  };
  const wanted = told(kept);
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let end = kept.length - 1; end > 0; end -= size) {
      const fewer = [...kept.slice(0, Math.max(0, end - size)), ...kept.slice(end)];
      if (told(fewer) === wanted) kept = fewer;
    }
  }
  return kept;
}

export function describeDifference(create: Create, session: Session, index: number): string {
  const steps = shrink(create, session.options, session.steps);
  const [guard, oracle] = [create(session.options), new OracleGuard(session.options)];
  const lines = steps.map((step) => {
    const [one, other] = [judge(guard, step), judge(oracle, step)];
    const verdicts = one === other ? one : `guard ${one}, oracle ${other}`;
    return `  ${step.time} ${step.direction} ${step.label}: ${verdicts}\n    ${Buffer.from(step.frame).toString("hex")}`;
  });
  return [
    `seed ${session.seed}, step ${index}, options ${JSON.stringify(session.options)}`,
    "the fewest steps that still differ:",
    ...lines,
  ].join("\n");
}
