/**
 * The lane against the guard alone: a reference guard sees every frame of a session; a second one, whose observer is the
 * lane, sees only what the kernel's programs hand over. What comes out must be the same, frame by frame: verdicts, answers,
 * resets, questions, how many flows are live, and when they end.
 */
import { createGuard, type Guard } from "../../../src/guard/guard.ts";
import { DROP_REASONS, PASS } from "../../../src/guard/reasons.ts";
import type { ExpressLane } from "../../../src/lane/express-lane.ts";
import { parseRules } from "../../../src/policy/rule.ts";
import { Counters } from "../../../src/relay/counters.ts";
import { EGRESS, INGRESS } from "../../../src/relay/direction.ts";
import { parseMac } from "../../../src/wire/address.ts";
import { TYPE_IPV6 } from "../../../src/wire/ethernet.ts";
import { FrameView } from "../../../src/wire/frame-view.ts";
import { addressOfWords } from "../../../src/wire/ipv6-address.ts";
import type { Session } from "../../oracle/generate.ts";
import type { FrameStep, Step } from "../../oracle/world.ts";
import type { KernelLane } from "./kernel-lane.ts";

/** What differs. */
export type Kind = "verdict" | "answer" | "flows" | "flow ends" | "counts" | "programs" | "addresses";

export interface Difference {
  readonly kind: Kind;
  readonly text: string;
}

/** What a run of sessions shows. */
export interface Figures {
  sessions: number;
  frames: number;
  /** Those that passed in the kernel. */
  express: number;
  /** Those with the topic "steady" that the reference passes, and how many of them passed in the kernel. */
  steady: number;
  steadyExpress: number;
  resets: number;
  answers: number;
}

export const noFigures = (): Figures => ({
  sessions: 0,
  frames: 0,
  express: 0,
  steady: 0,
  steadyExpress: 0,
  resets: 0,
  answers: 0,
});

const SECOND = 1_000_000;
/** Seconds are numbers of 32 bits: no softnet is silent for 68 years. Microseconds. */
const LONGEST_SILENCE = 2 ** 31 * SECOND;
const ROOM = 2048;
/** Seconds behind a session's end in each of which both guards have the same flows; and those behind, in steps of a minute. */
const CLOSE_LOOK = 310;
const LONG_LOOK = 7_500;

/**
 * How a session is played. Open: the lane is open whatever softnet does, so that each of the programs' own checks is met.
 * Usual: it opens and closes as in production, and the guard notices nothing of what passes there.
 */
export type Play = "open" | "usual";

export class Composite {
  readonly figures: Figures;
  readonly #kernel: KernelLane;
  readonly #play: Play;
  readonly #reference: Guard;
  readonly #guard: Guard;
  readonly #lane: ExpressLane;
  readonly #counters = new Counters();
  readonly #view = new FrameView();
  readonly #outs = [new Uint8Array(ROOM), new Uint8Array(ROOM)] as const;
  readonly #expected = { frames: [0, 0], bytes: [0, 0] };
  #clock = 0;
  /** Whether the second guard was told the time of the last step. */
  #told = true;
  #difference: Difference | undefined;

  constructor(kernel: KernelLane, session: Session<Step>, play: Play, figures: Figures) {
    this.#kernel = kernel;
    this.#play = play;
    this.figures = figures;
    const { options } = session;
    this.#lane = kernel.open(parseMac(options.macAddress)!, options.mtu ?? 1500, () => this.#clock);
    this.#reference = createGuard({ ...options, live: true });
    this.#guard = createGuard(options, this.#lane);
  }

  /** Plays the steps; returns the first difference. */
  run(session: Session<Step>): Difference | undefined {
    const { figures } = this;
    figures.sessions++;
    for (const [index, step] of session.steps.entries()) {
      try {
        if (step.kind === "frame") this.#frame(step);
        else if (step.kind === "policy") this.#policy(step.allow, step.block, step.untaken === true);
      } catch (error) {
        this.#differs("programs", (error as Error).message);
      }
      const difference = this.#difference;
      if (difference === undefined) continue;
      const label = step.kind === "frame" ? `${step.label} ${step.direction} ${hex(step.frame)}` : step.kind;
      return { ...difference, text: `seed ${session.seed}, step ${index}, ${label}: ${difference.text}` };
    }
    this.#checkCounts();
    if (session.seed % 8 === 0) this.#checkEnds();
    const { kind, text } = this.#difference ?? {};
    return kind === undefined ? undefined : { kind, text: `seed ${session.seed}, at the end: ${text}` };
  }

  #frame(step: FrameStep): void {
    const { figures } = this;
    const { frame, direction } = step;
    const fromVm = direction === "egress";
    if (step.time - this.#clock > LONGEST_SILENCE) this.#guard.advance(step.time);
    this.#clock = Math.max(this.#clock, step.time);
    figures.frames++;
    this.#reference.advance(step.time);
    const view = FrameView.of(frame, 0, frame.length);
    const wanted = fromVm ? this.#reference.judgeEgress(view) : this.#reference.judgeIngress(view);

    if (this.#play === "open") this.#kernel.keepOpen(this.#clock);
    else this.#tick();
    const passed = this.#kernel.passes(fromVm, frame, this.#clock);
    if (passed) {
      figures.express++;
      const way = fromVm ? EGRESS : INGRESS;
      this.#expected.frames[way]!++;
      this.#expected.bytes[way]! += frame.length;
    }
    if (step.topic === "steady" && wanted === PASS && this.#isBound(fromVm, view)) {
      figures.steady++;
      if (passed) figures.steadyExpress++;
    }
    this.#told = !passed || this.#play === "open" || figures.frames % 4 === 0;
    let said = PASS;
    if (this.#told) this.#guard.advance(step.time);
    if (!passed) {
      this.#view.read(frame, 0, frame.length);
      said = fromVm ? this.#guard.judgeEgress(this.#view) : this.#guard.judgeIngress(this.#view);
    }
    if (said !== wanted) {
      this.#differs(
        "verdict",
        `${passed ? "the kernel passes" : nameOf(said)}; the guard alone says ${nameOf(wanted)}`,
      );
      return;
    }
    if (!this.#told) return;
    if (fromVm && wanted !== PASS) this.#compareAnswers(view, wanted);
    if (!step.unasked) this.#compareTaken((guard, out) => guard.takeQuestion(out, 0), "question");
    if (!step.unasked) this.#compareTaken((guard, out) => guard.takeProbe(out, 0), "probe");
    if (!step.untaken) this.#compareResets();
    this.#compareFlows("flows");
    if (figures.frames % 16 === 0) this.#compareBindings();
  }

  #isBound(fromVm: boolean, view: FrameView): boolean {
    const { ipv4, ipv6 } = this.#reference.binding;
    if (view.type !== TYPE_IPV6) return ipv4?.address === (fromVm ? view.source : view.destination);
    const words = fromVm ? view.source6 : view.destination6;
    const own = addressOfWords(words[0]!, words[1]!, words[2]!, words[3]!);
    return ipv6.some(({ address }) => address === own);
  }

  /** What the relay's timer does until now. */
  #tick(): void {
    for (let due = this.#lane.deadline; due <= this.#clock; due = this.#lane.deadline) {
      this.#guard.advance(due);
      this.#lane.tick(due, this.#counters);
    }
  }

  #policy(allow: readonly string[], block: readonly string[], untaken: boolean): void {
    const rules = parseRules(allow, block);
    this.#reference.advance(this.#clock);
    this.#guard.advance(this.#clock);
    const cut = this.#reference.setRules(rules);
    const alsoCut = this.#guard.setRules(rules);
    if (cut !== alsoCut) this.#differs("flows", `a policy cuts ${alsoCut}; of the guard alone ${cut}`);
    if (!untaken) this.#compareResets();
    this.#compareFlows("flows");
  }

  #compareAnswers(view: FrameView, verdict: number): void {
    const [wanted, said] = this.#outs;
    const length = this.#reference.answer(view, verdict, wanted, 0);
    const other = this.#guard.answer(this.#view, verdict, said, 0);
    if (length > 0) this.figures.answers++;
    this.#compareBytes(length, other, "answer");
  }

  #compareTaken(take: (guard: Guard, out: Uint8Array) => number, what: string): number {
    const [wanted, said] = this.#outs;
    const length = take(this.#reference, wanted);
    this.#compareBytes(length, take(this.#guard, said), what);
    return length;
  }

  #compareBytes(length: number, other: number, what: string): void {
    const [wanted, said] = this.#outs.map((out) => hex(out));
    if (length === 0 && other === 0) return;
    const one = wanted!.slice(0, length * 2);
    const another = said!.slice(0, other * 2);
    if (one !== another) this.#differs("answer", `${what} ${another || "none"}; of the guard alone ${one || "none"}`);
  }

  /** Resets come in the order of the flows' places, which may be another one. */
  #compareResets(): void {
    const [wanted, said] = [this.#reference, this.#guard].map((guard, index) => {
      const resets: string[] = [];
      const out = this.#outs[index]!;
      for (let length = guard.takeReset(out, 0); length > 0; length = guard.takeReset(out, 0)) {
        resets.push(hex(out.subarray(0, length)));
      }
      return resets.sort();
    });
    this.figures.resets += wanted!.length;
    if (wanted!.join() !== said!.join()) this.#differs("answer", `resets ${said}; of the guard alone ${wanted}`);
  }

  #compareFlows(kind: Kind, when = ""): void {
    const { flows } = this.#reference;
    if (flows !== this.#guard.flows)
      this.#differs(kind, `${this.#guard.flows} flows${when}; of the guard alone ${flows}`);
  }

  #compareBindings(): void {
    const [wanted, said] = [this.#reference, this.#guard].map(({ binding }) =>
      binding.addresses.map(({ address, expiry }) => `${address.toString(16)} until ${expiry}`).join(),
    );
    if (wanted !== said) this.#differs("addresses", `${said}; of the guard alone ${wanted}`);
  }

  #checkCounts(): void {
    this.#lane.count(this.#counters);
    const { frames, bytes } = this.#counters;
    for (const way of [EGRESS, INGRESS] as const) {
      const wanted = `${this.#expected.frames[way]} frames, ${this.#expected.bytes[way]} bytes`;
      const said = `${frames[way]} frames, ${bytes[way]} bytes`;
      if (said !== wanted) this.#differs("counts", `the lane counts ${said}; ${wanted} passed`);
    }
  }

  /** When the flows that are left end. */
  #checkEnds(): void {
    const begin = Math.ceil(this.#clock / SECOND) * SECOND;
    for (let second = 1; second <= LONG_LOOK; second += second < CLOSE_LOOK ? 1 : 60) {
      for (const guard of [this.#reference, this.#guard]) guard.advance(begin + second * SECOND);
      this.#compareFlows("flow ends", ` ${second} s later`);
      this.#compareBindings();
      if (this.#difference !== undefined || this.#reference.flows === 0) return;
    }
  }

  #differs(kind: Kind, text: string): void {
    this.#difference ??= { kind, text };
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");

const nameOf = (verdict: number): string => (verdict === PASS ? "pass" : DROP_REASONS[verdict - 1]!.name);
