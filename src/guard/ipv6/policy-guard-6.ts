/**
 * Policy for IPv6 (docs/guard-ipv6.md, Policy): rules, fragments, flows, and the rate of the VM's pings. What comes here is a
 * packet of good form between addresses that may stand there, neither ND, MLD nor DHCPv6; what policy says of it is the last
 * word. An own address is known by its place (own-places.ts).
 *
 * Flows and fragments are judged by the same code as IPv4's; what differs is in ipv6-flows.ts and ipv6-fragments.ts.
 */
import { type KnownNetwork6, NO_NETWORK_6 } from "../../policy/default-layer-6.ts";
import { rulesInForce } from "../../policy/families.ts";
import type { Rule } from "../../policy/rule.ts";
import { IN, OUT, type Way } from "../../policy/rule-tree.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { wordsOf } from "../../wire/ipv6-address.ts";
import { isAmong } from "../../wire/ipv6-words.ts";
import type { ExposedPorts } from "../exposed-ports.ts";
import type { FlowGuard } from "../flow-guard.ts";
import { isEcho } from "../flow-key.ts";
import { NO_FLOW } from "../flow-table.ts";
import { FragmentGuard } from "../fragment-guard.ts";
import type { GuardSettings } from "../guard-settings.ts";
import type { PolicyGuard } from "../ipv4/policy-guard.ts";
import type { NameGuard } from "../names/name-guard.ts";
import { NotedFlows } from "../noted-flows.ts";
import { explainPolicy6, type PolicyQuestion6 } from "../policy-explanation.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { isSameList } from "../same-list.ts";
import type { Explanation, PolicyQuestion } from "../types.ts";
import { Answers6, putReset6 } from "./answers.ts";
import { IPv6Flows } from "./ipv6-flows.ts";
import { IPv6Fragments } from "./ipv6-fragments.ts";
import type { OwnPlaces } from "./own-places.ts";

export type { PolicyQuestion6 };

const ICMP_RATE = verdictOf("icmp.rate");
const POLICY_BLOCK = verdictOf("policy.block");
const FLOW_UNKNOWN = verdictOf("flow.unknown");

export class PolicyGuard6 {
  readonly #mac: number;
  readonly #live: boolean;
  readonly #exposed: ExposedPorts;
  readonly #ipv4: PolicyGuard;
  readonly #own: OwnPlaces;
  readonly #names: NameGuard;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  readonly #family: IPv6Flows;
  readonly #flows: NotedFlows;
  readonly #fragments: FragmentGuard;
  readonly #answers = new Answers6();
  #rules: readonly Rule[];
  #knownNetwork = NO_NETWORK_6;
  /** Four words; undefined = there is none. */
  #router: Int32Array | undefined;
  /** Four words of each of the router's addresses. */
  #routers = new Int32Array(0);
  /** While packets are noted in flows. */
  #noting: FlowGuard | undefined;

  /**
   * `ipv4`: the policy of the other family, which is asked about embedded addresses; `clock`: the guard's, in microseconds, in
   * place 0. Make one only where IPv6 is on: its tables are made here, flows' when they are needed first, all once.
   */
  constructor(settings: GuardSettings, ipv4: PolicyGuard, own: OwnPlaces, clock: Float64Array) {
    const names = ipv4.nameGuard;
    this.#names = names;
    const { rules, live, reject, mac, exposed } = settings;
    this.#exposed = exposed;
    this.#mac = mac;
    this.#live = live;
    this.#ipv4 = ipv4;
    this.#own = own;
    this.#clock = clock;
    this.#rules = rulesInForce(rules, true);
    this.#family = new IPv6Flows(ipv4, own, this.#rules);
    this.#flows = new NotedFlows(this.#family, reject, clock, names, ipv4.openings);
    names.join(this.#family, true);
    this.#fragments = new FragmentGuard(
      new IPv6Fragments(this.#family, (way, view, place) => this.#judgeWhole(way, view, place)),
    );
    // What embeds an IPv4 address is judged by IPv4's policy, too.
    ipv4.onNetwork = () => this.#flows.judgeAgain(false);
    this.#configure();
  }

  /** The policy judges both directions, by flows. */
  get stateful(): boolean {
    return this.#family.stateful;
  }

  /** How many flows are live. */
  get liveFlows(): number {
    return this.#flows.table?.live ?? 0;
  }

  /** The limit of flows that the VM opens has changed; IPv4's policy has it. */
  limitFlows(): void {
    this.#configure();
  }

  /** Ends what is over. To be called whenever the clock was moved. */
  advance(): void {
    this.#flows.advance();
  }

  /**
   * Puts other rules into force as a whole, after IPv4's policy has done so, and forgets noted fragments; returns how many flows
   * they cut. `rules`: without those that they imply.
   */
  setRules(rules: readonly Rule[]): number {
    this.#rules = rulesInForce(rules, true);
    this.#fragments.clear();
    this.#configure();
    return this.#flows.judgeAgain(true);
  }

  /**
   * Follows what the router, DHCPv6 and the network said. `router`: the trusted one's link-local address, from which answers
   * come, 0n = none.
   */
  updateNetwork(knownNetwork: KnownNetwork6, router: bigint): void {
    this.#router = router === 0n ? undefined : wordsOf(router);
    if (isSameNetwork(knownNetwork, this.#knownNetwork)) return;
    this.#knownNetwork = knownNetwork;
    this.#routers = Int32Array.from(knownNetwork.routers.flatMap((address) => [...wordsOf(address)]));
    this.#configure();
    this.#flows.judgeAgain(false);
  }

  #configure(): void {
    this.#family.setPolicy(this.#rules, this.#knownNetwork, this.#names.table !== undefined);
    const isNoted =
      this.#family.stateful ||
      this.#live ||
      this.#names.table !== undefined ||
      this.#ipv4.openings.bucket !== undefined;
    this.#noting = isNoted ? this.#flows.needed() : undefined;
  }

  /** The VM's address in a place has ended: so have all flows and noted fragments that are of it, and their RSTs. */
  ownAddressEnded(place: number): void {
    this.#flows.table?.endOf(place);
    this.#fragments.clearName(place);
  }

  /** Judges a packet from the VM's valid address in `place`, a fragment, too; an ICMPv6 error only with `isAboutPacketTo`. */
  egress(view: FrameView, place: number): number {
    if (view.fragmentBits !== 0) return this.#fragments.judge(OUT, view, place, this.#clock[0]!);
    const verdict = this.#judgeWhole(OUT, view, place);
    if (verdict !== POLICY_BLOCK && verdict !== FLOW_UNKNOWN) return verdict;
    return this.#exposed.isFromExposed(view) && isAmong(view.destination6, this.#routers) ? PASS : verdict;
  }

  /** Judges a packet to the VM's valid address in `place`, or to any other destination (NO_PLACE). */
  ingress(view: FrameView, place: number): number {
    if (view.fragmentBits !== 0) return this.#fragments.judge(IN, view, place, this.#clock[0]!);
    return this.#judgeWhole(IN, view, place);
  }

  /** Judges a whole packet, or a first fragment. */
  #judgeWhole(way: Way, view: FrameView, place: number): number {
    if (this.#noting !== undefined) return this.#noting.judge(way, view, place);
    if (way === IN) return PASS;
    const verdict = this.#family.judgeOut(view);
    this.#names.hits.count(this.#family.decidingNumber, this.#clock);
    if (verdict !== PASS) return verdict;
    return isEcho(view.icmpType) && !this.#flows.echoBucket.take(this.#clock[0]!) ? ICMP_RATE : PASS;
  }

  /**
   * Writes the answer to a packet that was dropped (option `reject`) to `out` at `at`, at most LONGEST_ANSWER_6 bytes, and
   * returns its length; 0 = none. `place`: of its source, or NO_PLACE.
   */
  answer(view: FrameView, verdict: number, place: number, out: Uint8Array, at: number): number {
    const own = this.#flows.names?.answer(view, verdict, out, at) ?? 0;
    if (own > 0 || !this.#flows.answersDenied) return own;
    const lost = verdict === FLOW_UNKNOWN || this.#flows.isOfCutFlow(view, place);
    return this.#answers.write(view, verdict, lost, this.#clock[0]!, this.#router, out, at);
  }

  /** Writes the next RST for the other side of a flow that was broken off to `out` at `at`, 74 bytes; returns its length. */
  takeNetworkReset(out: Uint8Array, at: number): number {
    return this.#flows.names?.takeReset(out, at) ?? 0;
  }

  /**
   * Writes the RST for the next flow that was cut (option `reject`) to `out` at `at`, 74 bytes, and returns its length;
   * 0 = none waits.
   */
  takeReset(out: Uint8Array, at: number): number {
    const flow = this.#flows.nextReset();
    if (flow === NO_FLOW) return 0;
    const flows = this.#flows.table!;
    this.#family.select(flows.remoteOf(flow));
    const ownAt = 4 * flows.placeOf(flow);
    return putReset6(flows, flow, this.#mac, this.#family.words, this.#own.words, ownAt, out, at);
  }

  /** As `Guard.explain`, for a remote IPv6 address. */
  explain(question: PolicyQuestion6): Explanation {
    const ofIPv4 = (same: PolicyQuestion): Explanation => this.#ipv4.explain(same);
    return explainPolicy6(question, this.#family.table, this.#rules, this.#knownNetwork, ofIPv4, (remote) => {
      const names = this.#flows.names?.names;
      return names && { names, number: this.#family.find(wordsOf(remote)) };
    });
  }
}

function isSameNetwork(one: KnownNetwork6, other: KnownNetwork6): boolean {
  return (
    isSameList(one.routers, other.routers) &&
    isSameList(one.dnsServers, other.dnsServers) &&
    isSameList(one.onLink, other.onLink, isSamePrefix) &&
    isSameList(one.nat64, other.nat64, isSamePrefix)
  );
}

type Prefix = KnownNetwork6["onLink"][number];
const isSamePrefix = (one: Prefix, other: Prefix): boolean =>
  one.address === other.address && one.length === other.length;
