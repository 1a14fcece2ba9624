/** What fragments must know of IPv6. */
import { OUT, type Way } from "../../policy/rule-tree.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import type { FragmentFamily } from "../fragment-guard.ts";
import type { IPv6Flows } from "./ipv6-flows.ts";
import { MOST_PLACES, NO_PLACE } from "./own-places.ts";

/** Judges whole packets. */
type WholeJudge = (way: Way, view: FrameView, place: number) => number;

/**
 * The own address of a packet, as its name: the place of one of the VM's, or the number of another destination
 * (remote-numbers.ts) behind all places.
 */
const ofOther = (number: number): number => MOST_PLACES + number;

export class IPv6Fragments implements FragmentFamily {
  readonly prefix = "ipv6";
  readonly refusesOverlaps = true;
  readonly judgeFirst: WholeJudge;
  readonly #flows: IPv6Flows;

  constructor(flows: IPv6Flows, judgeWhole: WholeJudge) {
    this.#flows = flows;
    this.judgeFirst = judgeWhole;
  }

  get stateful(): boolean {
    return this.#flows.stateful;
  }

  remoteOf(way: Way, view: FrameView): number {
    return this.#flows.find(way === OUT ? view.destination6 : view.source6);
  }

  otherOf(_way: Way, view: FrameView): number {
    return view.fragmentIdentification;
  }

  nameOf(view: FrameView, place: number): number {
    return place !== NO_PLACE ? place : ofOther(this.#flows.find(view.destination6));
  }

  holdName(view: FrameView, place: number): number {
    return place !== NO_PLACE ? place : ofOther(this.#flows.hold(this.#flows.find(view.destination6)));
  }

  releaseName(name: number): void {
    if (name >= MOST_PLACES) this.#flows.release(name - MOST_PLACES);
  }

  lengthOf(view: FrameView): number {
    return view.fragmentLength;
  }

  hold(remote: number): number {
    return this.#flows.hold(remote);
  }

  release(remote: number): void {
    this.#flows.release(remote);
  }

  countedBy(remote: number): number {
    return this.#flows.countedBy(remote);
  }
}
