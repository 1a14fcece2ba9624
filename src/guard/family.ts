/**
 * An address family as the guard sees it: everything that depends on what an address is. IPv4 is in ipv4/, IPv6 in ipv6/.
 * What both share (policy, flows, buckets, hashes) is in this folder.
 */
import type { FrameView } from "../wire/frame-view.ts";
import type { BoundAddress } from "./types.ts";

export interface AddressFamily {
  /** The VM's addresses of this family: its part of the binding. What is compared per frame is the family's own. */
  readonly addresses: readonly BoundAddress[];
  /** When `advance`, `takeQuestion` or `takeProbe` has something to do even if no frame comes, microseconds; Infinity = never. */
  readonly deadline: number;
  /** The clock was moved: ends what is over. */
  advance(): void;
  /** Judges a frame of this family's from the VM whose Ethernet header may pass; returns PASS or a drop reason's number. */
  judgeEgress(view: FrameView): number;
  /** The same, to the VM. */
  judgeIngress(view: FrameView): number;
  /** Other rules are in force: what was judged by those before is forgotten. */
  rulesChanged(): void;
  /** Writes the answer to a dropped frame of this family's to `out` at `at`; returns its length, 0 = none. */
  answer(view: FrameView, verdict: number, out: Uint8Array, at: number): number;
  /** Writes the RST for the next flow of this family's that was cut; returns its length, 0 = none. */
  takeReset(out: Uint8Array, at: number): number;
  /** Writes a question in the VM's name to the network; returns its length, 0 = none now. */
  takeQuestion(out: Uint8Array, at: number): number;
  /** Writes a question to the VM; returns its length, 0 = none now. */
  takeProbe(out: Uint8Array, at: number): number;
}
