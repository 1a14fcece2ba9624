/** Both guards over a session of names: what each says to each step, and the fewest steps about which they differ. */
import type { GuardOptions } from "../../../src/guard/types.ts";
import { tellAnswer } from "../answers.ts";
import { be16, join } from "../build.ts";
import { onesComplementSum, uint16 } from "../bytes.ts";
import { FirstGuard } from "../first.ts";
import { OracleGuard } from "../guard.ts";
import { UDP } from "../ipv4.ts";
import { tellAnswer6 } from "../ipv6/answers.ts";
import type { Judge } from "../judge.ts";
import type { NameSession, NameStep } from "./generate.ts";

export function say(guard: Judge, step: NameStep): string {
  if (step.kind === "policy") {
    guard.setRules(step.allow, step.block);
    return ["policy", ...sent(guard), `${guard.flows} flows`].join("\n");
  }
  const verdict = guard[step.direction](step.frame, step.time, step.header);
  const said = [verdict.reason ?? "pass"];
  const answer = verdict.reason !== undefined && step.direction === "egress" ? guard.answer(verdict) : undefined;
  if (answer !== undefined) said.push(`answer ${tell(answer)}`);
  return [...said, ...sent(guard), `${guard.flows} flows`].join("\n");
}

/** What softnet sends itself: to the VM, and to the network. */
function sent(guard: Judge): string[] {
  const lines = guard.takeResets().map((frame) => `to the VM ${tell(frame)}`);
  for (let frame = guard.takeQuestion(); frame !== undefined; frame = guard.takeQuestion())
    lines.push(`to the network ${tell(frame)}`);
  return lines.sort();
}

/** UDP's checksum is checked, too. */
function tell(frame: Uint8Array): string {
  if (uint16(frame, 12) === 0x86dd) return tellAnswer6(frame);
  if (frame[23] !== UDP) return tellAnswer(frame);
  const udp = frame.slice(34, 14 + uint16(frame, 16));
  const sum = onesComplementSum(join(frame.slice(26, 34), [0, UDP], be16(udp.length), udp));
  return `${sum === 0xffff ? "" : "wrong checksum "}${Buffer.from(frame).toString("hex")}`;
}

export type CreateBoth = (options: GuardOptions) => [Judge, Judge];
export const createBoth: CreateBoth = (options) => [new FirstGuard(options), new OracleGuard(options)];

/** The first step about which the two differ, with what they say. */
export function difference(options: GuardOptions, steps: readonly NameStep[], create = createBoth) {
  const [first, second] = create(options);
  for (const [index, step] of steps.entries()) {
    const [one, other] = [say(first, step), say(second, step)];
    if (one !== other) return { index, one, other };
  }
  return undefined;
}

export function describe(session: NameSession): string {
  const { options } = session;
  let at = difference(options, session.steps)!;
  let steps = session.steps.slice(0, at.index + 1);
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let end = steps.length - 1; end > 0; end -= size) {
      const fewer = [...steps.slice(0, Math.max(0, end - size)), ...steps.slice(end)];
      const found = difference(options, fewer);
      if (found === undefined || found.index !== fewer.length - 1) continue;
      if (found.one.split("\n")[0] !== at.one.split("\n")[0] || found.other.split("\n")[0] !== at.other.split("\n")[0])
        continue;
      steps = fewer;
      at = found;
    }
  }
  const [, second] = createBoth(options);
  const told = steps.map((step) => {
    const said = say(second, step).replaceAll("\n", " ");
    if (step.kind === "policy") return `policy allow ${step.allow} block ${step.block}: ${said}`;
    return `${step.time} ${step.direction} ${step.label}: ${said}\n    ${Buffer.from(step.frame.slice(26)).toString("hex")}`;
  });
  const rules = `allow ${options.allow} block ${options.block}`;
  return [`seed ${session.seed}`, rules, ...told.slice(-15), `first: ${at.one}`, `second: ${at.other}`].join("\n");
}
