/** What fragments must know of IPv6. */
import { OUT, type Way } from "../../policy/rule-tree.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import type { FragmentFamily } from "../fragment-guard.ts";
import type { Remotes } from "../remotes.ts";
import type { IPv6Flows } from "./ipv6-flows.ts";

/** Judges whole packets. */
type WholeJudge = (way: Way, view: FrameView, place: number) => number;

/** The name of packets to or from the VM's address in a place: 0 is left for all destinations that are none of its addresses. */
export const fragmentName = (place: number): number => place + 1;

export class IPv6Fragments implements FragmentFamily, Remotes {
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

  nameOf(_view: FrameView, place: number): number {
    return fragmentName(place);
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
