/**
 * Fragments (docs/guard.md, Fragments): a later one follows its first one, whose ports were judged (threat row I1). Those from
 * the VM have a rate, but for packets that become whole: what stays in pieces costs the machines that it goes to memory (I13).
 */
import { IN, OUT, type Way } from "../policy/rule-tree.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { FragmentTable, type PacketNumbers } from "./fragments.ts";
import { NO_SLOT } from "./keyed-slots.ts";
import { PASS, verdictOf } from "./reasons.ts";
import { TokenBucket } from "./token-bucket.ts";

const FRAGMENTS_PER_SECOND = 20;
const FRAGMENT_BURST = 400;

/** What fragments must know of an address family. `place` as in flow-family.ts. */
export interface FragmentFamily extends PacketNumbers {
  /** Before the names of its drop reasons. */
  readonly prefix: "ipv4" | "ipv6";
  /** Whether a later fragment may not begin within the first one (RFC 5722). */
  readonly refusesOverlaps: boolean;
  /** The policy judges both directions. */
  readonly stateful: boolean;
  /** Judges a first fragment as a whole packet. */
  judgeFirst(way: Way, view: FrameView, place: number): number;
  /** The remote address of a packet on its way (remotes.ts). */
  remoteOf(way: Way, view: FrameView): number;
  /** What tells packets of one remote address apart: 32 bits and 24. */
  otherOf(way: Way, view: FrameView): number;
  nameOf(view: FrameView, place: number): number;
  /** The same for a packet that is noted now, until `releaseName`. */
  holdName(view: FrameView, place: number): number;
  /** Bytes of the fragment's payload. */
  lengthOf(view: FrameView): number;
}

export class FragmentGuard {
  readonly #family: FragmentFamily;
  /** By way. */
  readonly #tables: readonly [FragmentTable, FragmentTable];
  readonly #bucket = new TokenBucket(FRAGMENTS_PER_SECOND, FRAGMENT_BURST);
  /** Reasons. */
  readonly #unknown: number;
  readonly #rate: number;
  readonly #overlap: number;

  constructor(family: FragmentFamily) {
    this.#family = family;
    this.#tables = [new FragmentTable(family), new FragmentTable(family)];
    this.#unknown = verdictOf(`${family.prefix}.fragment-unknown`);
    this.#rate = verdictOf(`${family.prefix}.fragment-rate`);
    this.#overlap = verdictOf(`${family.prefix}.fragment`);
  }

  /** Forgets all packets. */
  clear(): void {
    for (const table of this.#tables) table.clear();
  }

  /** Forgets all packets with a name. */
  clearName(name: number): void {
    for (const table of this.#tables) table.clearName(name);
  }

  /** Judges a fragment: a first one as policy judges a whole packet, a later one by its first one. `now` in microseconds. */
  judge(way: Way, view: FrameView, place: number, now: number): number {
    const family = this.#family;
    const later = view.fragmentOffset !== 0;
    // The policy says nothing of what comes to the VM.
    if (way === IN && !family.stateful) return later ? PASS : family.judgeFirst(way, view, place);
    if (later) return this.#follow(way, view, place, now);
    // One from the VM needs a token, and takes it when it passes.
    if (way === OUT && !this.#bucket.has(now)) return this.#rate;
    const verdict = family.judgeFirst(way, view, place);
    if (verdict === PASS) this.#begin(way, view, place, now);
    return verdict;
  }

  /** Notes a first fragment that passes. */
  #begin(way: Way, view: FrameView, place: number, now: number): void {
    const family = this.#family;
    if (way === OUT) this.#bucket.take(now);
    const name = family.holdName(view, place);
    const remote = family.remoteOf(way, view);
    this.#tables[way].note(remote, family.otherOf(way, view), name, family.lengthOf(view), secondOf(now));
  }

  #follow(way: Way, view: FrameView, place: number, now: number): number {
    const family = this.#family;
    const table = this.#tables[way];
    const name = family.nameOf(view, place);
    const remote = family.remoteOf(way, view);
    const slot = table.find(remote, family.otherOf(way, view), name, secondOf(now));
    if (slot === NO_SLOT) return this.#unknown;
    const offset = view.fragmentOffset * 8;
    if (family.refusesOverlaps && table.overlaps(slot, offset)) return this.#overlap;
    if (way === OUT && !this.#bucket.take(now)) return this.#rate;
    const whole = table.follow(slot, offset, family.lengthOf(view), !view.moreFragments);
    if (way === OUT) this.#bucket.giveBack(whole);
    return PASS;
  }
}

function secondOf(now: number): number {
  return Math.floor(now / 1_000_000);
}
