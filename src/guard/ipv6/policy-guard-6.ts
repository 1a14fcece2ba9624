/**
 * Policy for IPv6 (docs/guard-ipv6.md, Policy): rules, fragments, flows, and the rate of the VM's pings. What comes here is a
 * packet of good form between addresses that may stand there, neither ND, MLD nor DHCPv6; what policy says of it is the last
 * word. An own address is known by its place (own-places.ts).
 */
import type { Rule } from "../../policy/rule.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import type { GuardSettings } from "../guard-settings.ts";
import type { PolicyGuard } from "../policy-guard.ts";
import { verdictOf } from "../reasons.ts";
import type { Explanation, PolicyQuestion } from "../types.ts";
import type { OwnPlaces } from "./own-places.ts";
import type { KnownNetwork6 } from "./policy-questions.ts";

const NOT_GLOBAL = verdictOf("policy.destination");

/** As `PolicyQuestion`, with a remote IPv6 address. */
export type PolicyQuestion6 = Omit<PolicyQuestion, "remote"> & { readonly remote: bigint };

export class PolicyGuard6 {
  /**
   * `ipv4`: the policy of the other family, which is asked about embedded addresses; `clock`: the guard's, in microseconds, in
   * place 0. All that IPv6's policy keeps is made here and once, so make one only where IPv6 is on.
   */
  constructor(settings: GuardSettings, ipv4: PolicyGuard, own: OwnPlaces, clock: Float64Array) {
    void [settings, ipv4, own, clock];
  }

  /** The policy judges both directions, by flows. */
  get stateful(): boolean {
    return false;
  }

  /** How many flows are live. */
  get liveFlows(): number {
    return 0;
  }

  /** Ends what is over. To be called whenever the clock was moved. */
  advance(): void {}

  /** Puts other rules into force as a whole, after IPv4's policy has done so, and forgets noted fragments; returns how many flows they cut. */
  setRules(rules: readonly Rule[]): number {
    return rules.length * 0;
  }

  /** Follows what the router, DHCPv6 and the network said. `router`: the trusted one's link-local address, from which answers come, 0n = none. */
  updateNetwork(knownNetwork: KnownNetwork6, router: bigint): void {
    void [knownNetwork, router];
  }

  /** The VM's address in a place has ended: so have all flows and noted fragments that are of it, and their RSTs. */
  ownAddressEnded(place: number): void {
    void place;
  }

  /** Judges a packet from the VM's valid address in `place`, a fragment, too; an ICMPv6 error only with `isAboutPacketTo`. */
  egress(view: FrameView, place: number): number {
    void [view, place];
    return NOT_GLOBAL;
  }

  /** Judges a packet to the VM's valid address in `place`, or to any other destination (NO_PLACE). */
  ingress(view: FrameView, place: number): number {
    void [view, place];
    return NOT_GLOBAL;
  }

  /**
   * Writes the answer to a packet that was dropped (option `reject`) to `out` at `at`, at most LONGEST_ANSWER_6 bytes, and
   * returns its length; 0 = none. `place`: of its source.
   */
  answer(view: FrameView, verdict: number, place: number, out: Uint8Array, at: number): number {
    void [view, verdict, place, out, at];
    return 0;
  }

  /** Writes the RST for the next flow that was cut (option `reject`) to `out` at `at`, 74 bytes, and returns its length; 0 = none waits. */
  takeReset(out: Uint8Array, at: number): number {
    void [out, at];
    return 0;
  }

  /** As `Guard.explain`, for a remote IPv6 address. */
  explain(question: PolicyQuestion6): Explanation {
    void question;
    return { verdict: "drop", reason: "policy.destination" };
  }
}
