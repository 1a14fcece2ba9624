/** The first guard, the one that softnet runs, behind the face that the comparison knows. */
import { createGuard, type Guard } from "../../src/guard/guard.ts";
import { verdictOf } from "../../src/guard/reasons.ts";
import type { GuardOptions, Verdict } from "../../src/guard/types.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import type { Explained } from "./guard.ts";
import type { Judge } from "./judge.ts";
import type { Way } from "./rules.ts";

class FirstGuard implements Judge {
  readonly #guard: Guard;
  readonly #out = new Uint8Array(2048);

  constructor(options: GuardOptions) {
    this.#guard = createGuard(options);
  }

  egress(frame: Uint8Array, time: number): Verdict {
    return this.#guard.egress(frame, time);
  }

  ingress(frame: Uint8Array, time: number): Verdict {
    return this.#guard.ingress(frame, time);
  }

  setRules(allow: readonly string[], block: readonly string[]): void {
    this.#guard.setRules(parseRules(allow, block));
  }

  answer(frame: Uint8Array, verdict: Verdict): Uint8Array | undefined {
    const whole = new Uint8Array(frame.buffer); // as a batch has it, with other frames around
    const view = FrameView.of(whole, frame.byteOffset, frame.length);
    const dropped = verdictOf(verdict.reason!);
    return this.#taken((at) => this.#guard.answer(view, dropped, this.#out, at));
  }

  takeResets(): Uint8Array[] {
    const resets: Uint8Array[] = [];
    for (;;) {
      const reset = this.#taken((at) => this.#guard.takeReset(this.#out, at));
      if (reset === undefined) return resets;
      resets.push(reset);
    }
  }

  takeQuestion(): Uint8Array | undefined {
    return this.#taken((at) => this.#guard.takeQuestion(this.#out, at));
  }

  get flows(): number {
    return this.#guard.flows;
  }

  explain(way: Way, protocol: number, remote: number, port: number | undefined): Explained {
    const asked = { direction: way, protocol, remote, ...(port !== undefined && { port }) };
    const { rule, ...rest } = this.#guard.explain(asked);
    return { ...rest, ...(rule !== undefined && { rule: `${rule.action} ${rule.text}` }) };
  }

  /** What was written somewhere in the middle of the buffer, which is full of rubbish before. */
  #taken(write: (at: number) => number): Uint8Array | undefined {
    this.#out.fill(0xa5);
    const at = 77;
    const length = write(at);
    return length === 0 ? undefined : this.#out.slice(at, at + length);
  }
}

export const createFirst = (options: GuardOptions): Judge => new FirstGuard(options);
