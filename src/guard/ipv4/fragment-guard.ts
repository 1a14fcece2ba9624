/**
 * Fragments (docs/guard.md, Fragments): a later one follows its first one, whose ports were judged (threat row I1). Those from
 * the VM have a rate, but for packets that become whole: what stays in pieces costs the machines that it goes to memory (I13).
 */
import { IN, OUT, type Way } from "../../policy/rule-tree.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { NO_SLOT } from "../keyed-slots.ts";
import type { PolicyGuard } from "../policy-guard.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { TokenBucket } from "../token-bucket.ts";
import { FragmentTable } from "./fragments.ts";

const FRAGMENT_UNKNOWN = verdictOf("ipv4.fragment-unknown");
const FRAGMENT_RATE = verdictOf("ipv4.fragment-rate");

const FRAGMENTS_PER_SECOND = 20;
const FRAGMENT_BURST = 400;

export class FragmentGuard {
  readonly #policy: PolicyGuard;
  /** By way. */
  readonly #tables: readonly [FragmentTable, FragmentTable] = [new FragmentTable(), new FragmentTable()];
  readonly #bucket = new TokenBucket(FRAGMENTS_PER_SECOND, FRAGMENT_BURST);

  constructor(policy: PolicyGuard) {
    this.#policy = policy;
  }

  /** Forgets all packets. */
  clear(): void {
    for (const table of this.#tables) table.clear();
  }

  /** Judges a fragment: a first one as policy judges a whole packet, a later one by its first one. `now` in microseconds. */
  judge(way: Way, view: FrameView, now: number): number {
    const later = view.fragmentOffset !== 0;
    // The policy says nothing of what comes to the VM.
    if (way === IN && !this.#policy.stateful) return later ? PASS : this.#policy.ingress(view);
    if (later) return this.#follow(way, view, now);
    // One from the VM needs a token, and takes it when it passes.
    if (way === OUT && !this.#bucket.has(now)) return FRAGMENT_RATE;
    const verdict = way === OUT ? this.#policy.egress(view) : this.#policy.ingress(view);
    if (verdict === PASS) this.#begin(way, view, now);
    return verdict;
  }

  /** Notes a first fragment that passes. */
  #begin(way: Way, view: FrameView, now: number): void {
    if (way === OUT) this.#bucket.take(now);
    const remote = way === OUT ? view.destination : view.source;
    const own = way === OUT ? view.source : view.destination;
    this.#tables[way].note(remote, own, nameOf(view), view.transportLength, secondOf(now));
  }

  #follow(way: Way, view: FrameView, now: number): number {
    const table = this.#tables[way];
    const remote = way === OUT ? view.destination : view.source;
    const own = way === OUT ? view.source : view.destination;
    const slot = table.find(remote, own, nameOf(view), secondOf(now));
    if (slot === NO_SLOT) return FRAGMENT_UNKNOWN;
    if (way === OUT && !this.#bucket.take(now)) return FRAGMENT_RATE;
    const whole = table.follow(slot, view.fragmentOffset * 8, view.transportLength, !view.moreFragments);
    if (way === OUT) this.#bucket.giveBack(whole);
    return PASS;
  }
}

function secondOf(now: number): number {
  return Math.floor(now / 1_000_000);
}

/** Protocol and identification. */
function nameOf(view: FrameView): number {
  return (view.protocol << 16) | view.identification;
}
