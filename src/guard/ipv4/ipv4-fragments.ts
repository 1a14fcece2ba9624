/** What fragments must know of IPv4. */
import { OUT, type Way } from "../../policy/rule-tree.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import type { FragmentFamily } from "../fragment-guard.ts";
import { AddressNumbers } from "../remotes.ts";
import type { PolicyGuard } from "./policy-guard.ts";

export class IPv4Fragments extends AddressNumbers implements FragmentFamily {
  readonly prefix = "ipv4";
  readonly refusesOverlaps = false;
  readonly #policy: PolicyGuard;

  constructor(policy: PolicyGuard) {
    super();
    this.#policy = policy;
  }

  get stateful(): boolean {
    return this.#policy.stateful;
  }

  judgeFirst(way: Way, view: FrameView): number {
    return way === OUT ? this.#policy.egress(view) : this.#policy.ingress(view);
  }

  remoteOf(way: Way, view: FrameView): number {
    return way === OUT ? view.destination : view.source;
  }

  /** The own address: the VM's, or a broadcast one. */
  otherOf(way: Way, view: FrameView): number {
    return way === OUT ? view.source : view.destination;
  }

  /** Protocol and identification. */
  nameOf(view: FrameView): number {
    return (view.protocol << 16) | view.identification;
  }

  holdName(view: FrameView): number {
    return this.nameOf(view);
  }

  releaseName(): void {}

  lengthOf(view: FrameView): number {
    return view.transportLength;
  }
}
