/** Where two guards differ on a session, told with as few steps as possible. */
import type { GuardOptions } from "../../src/guard/types.ts";
import type { Session } from "./generate.ts";
import { type Create, createOracle, judge } from "./judge.ts";
import type { Step } from "./world.ts";

/** Steps that are judged while looking for fewer: a long session stays longer than it need be rather than take hours. */
const EFFORT = 3_000_000;

/** The first step about which the two say different things, or -1. */
function firstDifference(create: Create, options: GuardOptions, steps: readonly Step[]): number {
  const [guard, oracle] = [create(options), createOracle(options)];
  return steps.findIndex((step) => judge(guard, step) !== judge(oracle, step));
}

/** Leaves out every step without which the two still differ in the same way at the end. */
export function shrink(create: Create, options: GuardOptions, steps: readonly Step[]): readonly Step[] {
  let kept = steps.slice(0, firstDifference(create, options, steps) + 1);
  let effort = 0;
  /** The last step's verdicts; a number of flows may be another in a shorter row. */
  const told = (row: readonly Step[]): string => {
    effort += row.length;
    const [guard, oracle] = [create(options), createOracle(options)];
    let last = "";
    for (const step of row) {
      const [one, other] = [judge(guard, step), judge(oracle, step)];
      last = one === other ? "" : `${one} ${other}`.replaceAll(/\d+ flows/g, "flows");
    }
    return last;
  };
  const wanted = told(kept);
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let end = kept.length - 1; end > 0 && effort < EFFORT; end -= size) {
      const fewer = [...kept.slice(0, Math.max(0, end - size)), ...kept.slice(end)];
      if (told(fewer) === wanted) kept = fewer;
    }
  }
  return kept;
}

function tell(step: Step): string {
  if (step.kind === "policy") return `policy allow ${JSON.stringify(step.allow)} block ${JSON.stringify(step.block)}`;
  if (step.kind === "question") return `question ${step.way} ${step.protocol} ${step.remote} ${step.port}`;
  return `${step.time} ${step.direction} ${step.label}`;
}

const hex = (bytes: Uint8Array | undefined): string => (bytes === undefined ? "-" : Buffer.from(bytes).toString("hex"));

/** The last of many steps are enough to see what happens. */
const TOLD = 40;

export function describeDifference(create: Create, session: Session<Step>, index: number): string {
  const steps = shrink(create, session.options, session.steps);
  const [guard, oracle] = [create(session.options), createOracle(session.options)];
  const lines = steps.map((step) => {
    const [one, other] = [judge(guard, step), judge(oracle, step)];
    const verdicts = one === other ? one : `\n  guard\n    ${one}\n  oracle\n    ${other}`;
    const bytes = step.kind === "frame" ? `\n    ${hex(step.header)} ${hex(step.frame)}` : "";
    return `  ${tell(step)}: ${verdicts}${bytes}`;
  });
  return [
    `seed ${session.seed}, step ${index}, options ${JSON.stringify(session.options)}`,
    `the fewest steps that still differ, ${steps.length}:`,
    ...lines.slice(-TOLD),
  ].join("\n");
}
