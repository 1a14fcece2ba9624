/** Both guards behind one face, and what each says to one step of a session, as text that can be compared. */
import { createHash } from "node:crypto";
import type { GuardOptions, Verdict } from "../../src/guard/types.ts";
import { tellAnswer } from "./answers.ts";
import { onesComplementSum } from "./bytes.ts";
import { tellQuestion } from "./ethernet.ts";
import { type Explained, OracleGuard, type Told } from "./guard.ts";
import type { Way } from "./rules.ts";
import type { Step } from "./world.ts";

export interface Judge {
  egress(frame: Uint8Array, time: number, header?: Uint8Array): Verdict;
  ingress(frame: Uint8Array, time: number, header?: Uint8Array): Verdict;
  setRules(allow: readonly string[], block: readonly string[]): void;
  /** The answer to the last frame, which was dropped. */
  answer(verdict: Verdict): Uint8Array | undefined;
  /** The last frame, which had a header. */
  readonly told: Told;
  takeResets(): Uint8Array[];
  takeQuestion(): Uint8Array | undefined;
  readonly flows: number;
  explain(way: Way, protocol: number, remote: number, port: number | undefined): Explained;
}

export type Create = (options: GuardOptions) => Judge;

export const createOracle = (options: GuardOptions): OracleGuard => new OracleGuard(options);

/** What drops behind an IPv4 header with a wrong checksum need not be completed: nobody reads it. */
const hasSoundHeader = (frame: Uint8Array): boolean => onesComplementSum(frame.slice(14, 34)) === 0xffff;

/** "pass", or the drop reason, with the answer that the VM gets; what a changed policy resets, and what softnet asks; or an explanation. */
export function judge(guard: Judge, step: Step): string {
  if (step.kind === "policy") {
    guard.setRules(step.allow, step.block);
    return told(guard, ["policy"], step.untaken ? [] : guard.takeResets());
  }
  if (step.kind === "question") {
    const told = guard.explain(step.way, step.protocol, step.remote, step.port);
    return `${told.verdict} ${told.reason} by ${told.rule ?? `default: ${told.default}`}`;
  }
  const verdict = guard[step.direction](step.frame, step.time, step.header);
  const said = [verdict.reason ?? verdict.verdict];
  if (step.header !== undefined && (verdict.verdict === "pass" || hasSoundHeader(step.frame)))
    said.push(tellOffload(step.frame, guard.told, verdict.verdict === "pass"));
  if (verdict.verdict === "drop" && step.direction === "egress") {
    const answer = guard.answer(verdict);
    if (answer !== undefined) said.push(tellAnswer(answer));
  }
  const question = step.unasked ? undefined : guard.takeQuestion();
  if (question !== undefined) said.push(`question ${tellQuestion(question)}`);
  return told(guard, said, step.untaken ? [] : guard.takeResets());
}

/** What was completed before the frame was judged, and what leaves: kind and bytes. */
export function tellOffload(given: Uint8Array, { judged, frame, leaving }: Told, passes: boolean): string {
  const changed = (bytes: Uint8Array): string =>
    Buffer.compare(given, bytes) === 0 ? "unchanged" : createHash("sha256").update(bytes).digest("hex");
  if (!passes) return `${judged}, ${changed(frame)}`;
  const sent = leaving();
  return `${judged}, ${changed(frame)}, leaves ${sent.kind}, ${changed(sent.frame)}`;
}

function told(guard: Judge, said: readonly string[], resets: readonly Uint8Array[]): string {
  return [...said, ...resets.map((reset) => `reset ${tellAnswer(reset)}`).sort(), `${guard.flows} flows`].join(
    "\n    ",
  );
}
