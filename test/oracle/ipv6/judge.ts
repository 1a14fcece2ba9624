/** What a guard says to one step of an IPv6 session, as text that can be compared: verdict, answers, questions, binding. */
import type { GuardOptions } from "../../../src/guard/types.ts";
import { tellAnswer } from "../answers.ts";
import { uint16 } from "../bytes.ts";
import { tellQuestion } from "../ethernet.ts";
import { OracleGuard } from "../guard.ts";
import { type Judge, tellOffload } from "../judge.ts";
import type { Step } from "../world.ts";
import { tellAnswer6 } from "./answers.ts";

export interface Judge6 extends Judge {
  /** The valid IPv6 addresses as text. */
  readonly addresses6: string;
}

export type Create6 = (options: GuardOptions) => Judge6;

export const createOracle6 = (options: GuardOptions, faults?: ReadonlySet<string>): OracleGuard =>
  new OracleGuard(options, faults);

const isIpv6 = (frame: Uint8Array): boolean => uint16(frame, 12) === 0x86dd;
const told = (frame: Uint8Array): string => (isIpv6(frame) ? tellAnswer6(frame) : tellAnswer(frame));
const asked = (frame: Uint8Array): string => (isIpv6(frame) ? Buffer.from(frame).toString("hex") : tellQuestion(frame));

/** Softnet asks at most this much behind one frame. */
const MOST_QUESTIONS = 80;

export function judge6(guard: Judge6, step: Step): string {
  if (step.kind === "question") return "";
  const said: string[] = [];
  if (step.kind === "policy") {
    guard.setRules(step.allow, step.block);
    said.push("policy");
  } else {
    const verdict = guard[step.direction](step.frame, step.time, step.header);
    said.push(verdict.reason ?? verdict.verdict);
    if (step.header !== undefined && (verdict.verdict === "pass" || isIpv6(step.frame)))
      said.push(tellOffload(step.frame, guard.told, verdict.verdict === "pass"));
    if (verdict.verdict === "drop" && step.direction === "egress") {
      const answer = guard.answer(verdict);
      if (answer !== undefined) said.push(`answer ${told(answer)}`);
    }
    const questions: string[] = [];
    for (let count = 0; count < (step.unasked ? 0 : MOST_QUESTIONS); count++) {
      const question = guard.takeQuestion();
      if (question === undefined) break;
      questions.push(`question ${asked(question)}`);
    }
    said.push(...questions.sort());
  }
  const resets = guard.takeResets().map((reset) => `reset ${told(reset)}`);
  return [...said, ...resets.sort(), `${guard.flows} flows`, `has ${guard.addresses6}`].join("\n    ");
}
