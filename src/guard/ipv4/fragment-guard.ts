/**
 * Fragments (docs/guard.md, Fragments): a later one follows its first one, whose ports were judged (threat row I1). Those from
 * the VM have a rate, but for packets that become whole: what stays in pieces costs the machines that it goes to memory (I13).
 */
import { OUT, type Way } from "../../policy/rule-tree.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { NO_SLOT } from "../keyed-slots.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { TokenBucket } from "../token-bucket.ts";
import { FragmentTable } from "./fragments.ts";

const FRAGMENT_UNKNOWN = verdictOf("ipv4.fragment-unknown");
export const FRAGMENT_RATE = verdictOf("ipv4.fragment-rate");

const FRAGMENTS_PER_SECOND = 20;
const FRAGMENT_BURST = 400;

export class FragmentGuard {
  /** By way. */
  readonly #tables: readonly [FragmentTable, FragmentTable] = [new FragmentTable(), new FragmentTable()];
  readonly #bucket = new TokenBucket(FRAGMENTS_PER_SECOND, FRAGMENT_BURST);

  /** Forgets all packets. */
  clear(): void {
    for (const table of this.#tables) table.clear();
  }

  /** Whether a first fragment may be judged: one from the VM needs a token, and takes it when it passes. */
  mayBegin(way: Way, now: number): boolean {
    return way !== OUT || this.#bucket.has(now);
  }

  /** Notes a first fragment that passes; `now` in microseconds, `second`: the same in whole seconds. */
  begin(way: Way, view: FrameView, now: number, second: number): void {
    if (way === OUT) this.#bucket.take(now);
    const { source, destination, transportLength } = view;
    const name = nameOf(view);
    if (way === OUT) this.#tables[way].note(destination, source, name, transportLength, second);
    else this.#tables[way].note(source, destination, name, transportLength, second);
  }

  /** Judges a later fragment. */
  follow(way: Way, view: FrameView, now: number, second: number): number {
    const table = this.#tables[way];
    const { source, destination } = view;
    const name = nameOf(view);
    const slot =
      way === OUT ? table.find(destination, source, name, second) : table.find(source, destination, name, second);
    if (slot === NO_SLOT) return FRAGMENT_UNKNOWN;
    if (way === OUT && !this.#bucket.take(now)) return FRAGMENT_RATE;
    const whole = table.follow(slot, view.fragmentOffset * 8, view.transportLength, !view.moreFragments);
    if (way === OUT) this.#bucket.giveBack(whole);
    return PASS;
  }
}

/** Protocol and identification. */
function nameOf(view: FrameView): number {
  return (view.protocol << 16) | view.identification;
}
