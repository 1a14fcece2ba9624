/**
 * IPv6 and what belongs to it: neighbour discovery with the addresses and the router that it teaches, MLD, DHCPv6, and the
 * checks of packets before policy (docs/guard-ipv6.md). A frame that comes here has an Ethernet header that may pass, and the type
 * of IPv6.
 */
import type { Rule } from "../../policy/rule.ts";
import { DHCPV6_CLIENT_PORT, DHCPV6_SERVER_PORT, Dhcpv6Message } from "../../wire/dhcpv6.ts";
import { ETHERNET_HEADER } from "../../wire/ethernet.ts";
import { NONE } from "../../wire/frame-headers.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import {
  isEcho6,
  isIcmpv6Error,
  isMld,
  isNeighborDiscovery,
  MLD_QUERY,
  ND_REDIRECT,
  ND_ROUTER_ADVERTISEMENT,
} from "../../wire/icmpv6.ts";
import { PROTOCOL_UDP } from "../../wire/ipv4.ts";
import { isMulticast6, isUnspecified } from "../../wire/ipv6-words.ts";
import { NdMessage } from "../../wire/neighbor-discovery.ts";
import { COMPLETE } from "../../wire/virtio-net.ts";
import { tellBinding } from "../binding-changes.ts";
import type { Diagnostics } from "../diagnostics.ts";
import type { AddressFamily } from "../family.ts";
import type { IPv6Observer } from "../flow-observer.ts";
import type { GuardSettings } from "../guard-settings.ts";
import type { PolicyGuard } from "../ipv4/policy-guard.ts";
import type { IPv6Settings } from "../ipv6-settings.ts";
import type { LearnedNetwork6 } from "../known-network-6.ts";
import { judgeOffload } from "../offload.ts";
import type { PolicyQuestion6 } from "../policy-explanation.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { TokenBucket } from "../token-bucket.ts";
import type { BindingChange, BoundAddress, Explanation, GuardOptions } from "../types.ts";
import { Addresses } from "./addresses.ts";
import { Dhcpv6Egress } from "./dhcpv6-egress.ts";
import { Identities6 } from "./dhcpv6-identities.ts";
import { Dhcpv6Ingress } from "./dhcpv6-ingress.ts";
import type { Dhcpv6State } from "./dhcpv6-state.ts";
import { Transactions6 } from "./dhcpv6-transactions.ts";
import { isAboutPacketOf, isAboutPacketTo } from "./icmp-quote-6.ts";
import { judgeIPv6Form } from "./ipv6-form.ts";
import { MldGuard } from "./mld.ts";
import { NdEgress } from "./nd-egress.ts";
import { NdIngress } from "./nd-ingress.ts";
import type { NeighbourState } from "./neighbour-state.ts";
import { NO_PLACE } from "./own-places.ts";
import { OwnQuestions } from "./own-questions.ts";
import { PolicyGuard6 } from "./policy-guard-6.ts";
import { restore6 } from "./restore-6.ts";
import { RouterWatch } from "./router-watch.ts";

const GROUP_FRAME = verdictOf("ipv6.group-frame");
const UNBOUND = verdictOf("ipv6.unbound");
const TENTATIVE = verdictOf("ipv6.tentative");
const SOURCE = verdictOf("ipv6.source");
const ICMP_ROUTER = verdictOf("icmpv6.router");
const ICMP_TYPE = verdictOf("icmpv6.type");
const ICMP_QUOTE = verdictOf("icmpv6.quote");
const MLD_QUERY_DROP = verdictOf("mld.query");
const DHCPV6_PORTS = verdictOf("dhcpv6.ports");
const DHCPV6_FRAGMENT = verdictOf("dhcpv6.fragment");

/** Tokens a second, and at most. */
const ND_RATE = [50, 200] as const;
const ANSWER_RATE = [1, 4] as const;

/** The callbacks of the guard's user (GuardOptions). */
export type IPv6Callbacks = Pick<GuardOptions, "restored" | "heldElsewhere6" | "onBinding">;

export class IPv6Family implements AddressFamily {
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  /** Bytes of the longest packet. */
  readonly #mtu: number;
  readonly #onBinding: ((change: BindingChange) => void) | undefined;
  readonly #diagnostics: Diagnostics;
  readonly #addresses: Addresses;
  readonly #router: RouterWatch;
  readonly #policy: PolicyGuard6;
  readonly #dhcp: Dhcpv6State;
  readonly #ndEgress: NdEgress;
  readonly #ndIngress: NdIngress;
  readonly #mld: MldGuard;
  readonly #dhcpEgress: Dhcpv6Egress;
  readonly #dhcpIngress: Dhcpv6Ingress;
  readonly #questions: OwnQuestions;
  /** When the router, or what it taught, ends next; microseconds, in place 0. */
  readonly #routerDue = Float64Array.of(Number.POSITIVE_INFINITY);

  /** `policy`: IPv4's, which is asked about embedded addresses; `gatewayMac`: the IPv4 gateway's known MAC, or UNKNOWN_MAC. */
  constructor(
    settings: GuardSettings,
    ipv6: IPv6Settings,
    callbacks: IPv6Callbacks,
    policy: PolicyGuard,
    clock: Float64Array,
    diagnostics: Diagnostics,
    gatewayMac: () => number,
    observer?: IPv6Observer,
  ) {
    const { mac, ask } = settings;
    this.#clock = clock;
    this.#mtu = settings.longestFrame - ETHERNET_HEADER;
    this.#onBinding = callbacks.onBinding;
    this.#diagnostics = diagnostics;
    this.#router = new RouterWatch(ipv6, gatewayMac);
    this.#addresses = new Addresses({
      staticAddress: ipv6.address,
      asks: ask,
      heldElsewhere: callbacks.heldElsewhere6,
      clock,
      observer,
      events: {
        changed: (change) => this.#bindingChanged(change),
        ended: (place) => this.#policy.ownAddressEnded(place),
      },
    });
    this.#policy = new PolicyGuard6(settings, policy, this.#addresses, clock, observer);
    const networkChanged = (): void => this.#updateNetwork();
    const state: NeighbourState = {
      macHigh: Math.floor(mac / 0x100000000),
      macLow: mac | 0,
      addresses: this.#addresses,
      router: this.#router,
      bucket: new TokenBucket(...ND_RATE),
      answers: new TokenBucket(...ANSWER_RATE),
      message: new NdMessage(),
      networkChanged,
    };
    this.#dhcp = {
      addresses: this.#addresses,
      router: this.#router,
      transactions: new Transactions6(),
      identities: new Identities6(),
      staticAddress: ipv6.address,
      message: new Dhcpv6Message(),
      lastReply: undefined,
      dnsServers: [],
      networkChanged,
    };
    this.#ndEgress = new NdEgress(state, clock);
    this.#ndIngress = new NdIngress(state, clock);
    this.#mld = new MldGuard(state, clock);
    this.#dhcpEgress = new Dhcpv6Egress(this.#dhcp, clock);
    this.#dhcpIngress = new Dhcpv6Ingress(this.#dhcp, clock);
    const wantsRouter = (): boolean => ipv6.prefix === undefined && !this.#router.advertises;
    this.#questions = new OwnQuestions(mac, ask, this.#addresses, wantsRouter);
    restore6(this.#dhcp, callbacks.restored);
    this.#updateNetwork();
  }

  get addresses(): readonly BoundAddress[] {
    return this.#addresses.bound;
  }

  /** The router's link-local address; 0n = not known. */
  get router(): bigint {
    return this.#router.address;
  }

  /** What is known of the network, for people. */
  get learnedNetwork(): LearnedNetwork6 {
    return this.#router.learnedNetwork(this.#dhcp.dnsServers);
  }

  /** How many flows are live. */
  get flows(): number {
    return this.#policy.liveFlows;
  }

  get deadline(): number {
    return Math.min(this.#addresses.deadline, this.#routerDue[0]!, this.#questions.due);
  }

  advance(): void {
    // First, since flows that are over vouch for no other one when all are judged again.
    this.#policy.advance();
    this.#addresses.advance();
    if (this.#clock[0]! >= this.#routerDue[0]!) {
      const changed = this.#router.advance(this.#clock[0]!);
      this.#followRouter();
      if (changed) this.#updateNetwork();
    }
  }

  judgeEgress(view: FrameView): number {
    const malformed = judgeIPv6Form(view);
    if (malformed !== PASS) return malformed;
    if (view.offload !== COMPLETE) {
      const unborne = judgeOffload(view, this.#mtu);
      if (unborne !== PASS) return unborne;
    }
    if (view.isToGroup && !isMulticast6(view.destination6)) return GROUP_FRAME;
    if (view.icmpType !== NONE) return this.#judgeIcmpEgress(view);
    if (view.protocol === PROTOCOL_UDP && (isDhcpv6Port(view.sourcePort) || isDhcpv6Port(view.destinationPort))) {
      return this.#judgeDhcpEgress(view);
    }
    return this.#judgeBoundEgress(view);
  }

  // What is rare stands apart, so that the way of TCP and UDP is short enough to be compiled as one.
  #judgeIcmpEgress(view: FrameView): number {
    const { icmpType } = view;
    if (icmpType === ND_ROUTER_ADVERTISEMENT || icmpType === ND_REDIRECT) return ICMP_ROUTER;
    if (icmpType === MLD_QUERY) return MLD_QUERY_DROP;
    if (isNeighborDiscovery(icmpType)) return this.#ndEgress.judge(view);
    if (isMld(icmpType)) return this.#mld.egress(view);
    if (!isIcmpv6Error(icmpType) && !isEcho6(icmpType)) return ICMP_TYPE;
    return this.#judgeBoundEgress(view);
  }

  #judgeDhcpEgress(view: FrameView): number {
    const { sourcePort: from, destinationPort: to } = view;
    if (from !== DHCPV6_CLIENT_PORT || to !== DHCPV6_SERVER_PORT) return DHCPV6_PORTS;
    return view.fragmentBits !== 0 ? DHCPV6_FRAGMENT : this.#dhcpEgress.judge(view);
  }

  #judgeBoundEgress(view: FrameView): number {
    const place = this.#addresses.find(view.source6);
    if (place === NO_PLACE) return this.#unknown(view);
    if (this.#addresses.isTentative(place)) return TENTATIVE;
    if (isIcmpv6Error(view.icmpType) && !isAboutPacketTo(this.#addresses, view)) return ICMP_QUOTE;
    const verdict = this.#policy.egress(view, place);
    if (verdict === PASS) this.#addresses.use(place);
    return verdict;
  }

  /** From an address that is none of the VM's: it may be one that softnet does not know. */
  #unknown({ source6 }: FrameView): number {
    if (isUnspecified(source6)) return UNBOUND;
    const { hasAny } = this.#addresses;
    // Also while it has none: softnet may have been started again under a VM that detects no duplicates any more.
    if (this.#router.mayBeVms(source6)) this.#addresses.ask(source6);
    return hasAny ? SOURCE : UNBOUND;
  }

  judgeIngress(view: FrameView): number {
    const malformed = judgeIPv6Form(view);
    if (malformed !== PASS) return malformed;
    if (view.offload !== COMPLETE) {
      const unborne = judgeOffload(view, this.#mtu);
      if (unborne !== PASS) return unborne;
    }
    if (view.isToGroup && !isMulticast6(view.destination6)) return GROUP_FRAME;
    const { icmpType } = view;
    if (icmpType !== NONE) {
      if (isNeighborDiscovery(icmpType)) return this.#judgeNdIngress(view);
      if (isMld(icmpType)) return this.#mld.ingress(view);
      if (!isIcmpv6Error(icmpType) && !isEcho6(icmpType)) return ICMP_TYPE;
    } else if (view.protocol === PROTOCOL_UDP && view.destinationPort === DHCPV6_CLIENT_PORT) {
      if (view.sourcePort !== DHCPV6_SERVER_PORT) return DHCPV6_PORTS;
      return view.fragmentBits !== 0 ? DHCPV6_FRAGMENT : this.#dhcpIngress.judge(view);
    }
    const place = this.#addresses.placeOf(view.destination6);
    if (place === NO_PLACE && this.#addresses.isFormer(view.destination6)) return UNBOUND;
    if (isIcmpv6Error(icmpType) && !isAboutPacketOf(place, view)) return ICMP_QUOTE;
    return this.#policy.ingress(view, place);
  }

  #judgeNdIngress(view: FrameView): number {
    const verdict = this.#ndIngress.judge(view);
    if (verdict === PASS && view.icmpType === ND_ROUTER_ADVERTISEMENT) this.#followRouter();
    return verdict;
  }

  #followRouter(): void {
    this.#routerDue[0] = this.#router.deadline;
    this.#addresses.trustNetwork(this.#router.deadline);
  }

  rulesChanged(): void {}

  /** Puts other rules into force, after IPv4's policy has done so; returns how many flows they cut. */
  setRules(rules: readonly Rule[]): number {
    return this.#policy.setRules(rules);
  }

  /** The limit of flows that the VM opens has changed. */
  limitFlows(): void {
    this.#policy.limitFlows();
  }

  /** As `Guard.explain`, for a remote IPv6 address. */
  explain(question: PolicyQuestion6): Explanation {
    return this.#policy.explain(question);
  }

  answer(view: FrameView, verdict: number, out: Uint8Array, at: number): number {
    return this.#policy.answer(view, verdict, this.#addresses.placeOf(view.source6), out, at);
  }

  takeReset(out: Uint8Array, at: number): number {
    return this.#policy.takeReset(out, at);
  }

  takeQuestion(out: Uint8Array, at: number): number {
    return this.#policy.takeNetworkReset(out, at) || this.#questions.takeQuestion(out, at, this.#clock[0]!);
  }

  takeProbe(out: Uint8Array, at: number): number {
    return this.#questions.takeProbe(out, at);
  }

  #updateNetwork(): void {
    this.#policy.updateNetwork(this.#router.knownNetwork(this.#dhcp.dnsServers), this.#router.address);
  }

  #bindingChanged(change: BindingChange): void {
    tellBinding(change, this.#onBinding, this.#diagnostics);
  }
}

function isDhcpv6Port(port: number): boolean {
  return port === DHCPV6_CLIENT_PORT || port === DHCPV6_SERVER_PORT;
}
