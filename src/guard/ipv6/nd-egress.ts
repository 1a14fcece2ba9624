/**
 * Neighbour discovery from the VM: it speaks for its own addresses, with its own MAC in every place where one stands
 * (threat rows S3, S5, S6). docs/guard-ipv6.md specifies each check. Router advertisements and redirects are refused
 * before.
 */
import type { FrameView } from "../../wire/frame-view.ts";
import { ND_NEIGHBOR_ADVERTISEMENT, ND_NEIGHBOR_SOLICITATION } from "../../wire/icmpv6.ts";
import {
  ALL_NODES,
  ALL_ROUTERS,
  isLinkLocalGroup,
  isLoopback6,
  isMulticast6,
  isSameAddress,
  isSolicitedNodeOf,
  isUnspecified,
} from "../../wire/ipv6-words.ts";
import { NO_LINK } from "../../wire/neighbor-discovery.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { readNeighborDiscovery } from "./nd-form.ts";
import type { NeighbourState } from "./neighbour-state.ts";
import { NO_PLACE } from "./own-places.ts";

const FORMAT = verdictOf("nd.format");
const TARGET = verdictOf("nd.target");
const SOURCE = verdictOf("nd.source");
const DESTINATION = verdictOf("nd.destination");
const LINK_LAYER = verdictOf("nd.link-layer");
const ROUTER_FLAG = verdictOf("nd.router-flag");
const RATE = verdictOf("nd.rate");

export class NdEgress {
  readonly #state: NeighbourState;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;

  constructor(state: NeighbourState, clock: Float64Array) {
    this.#state = state;
    this.#clock = clock;
  }

  /** Judges an RS, NS or NA of the VM's. */
  judge(view: FrameView): number {
    const form = readNeighborDiscovery(view, this.#state.message);
    if (form !== PASS) return form;
    if (view.icmpType === ND_NEIGHBOR_SOLICITATION) return this.#judgeSolicitation(view);
    if (view.icmpType === ND_NEIGHBOR_ADVERTISEMENT) return this.#judgeAdvertisement(view);
    return this.#judgeRouterSolicitation(view);
  }

  #judgeSolicitation(view: FrameView): number {
    const { target } = this.#state.message;
    if (isMulticast6(target) || isUnspecified(target) || isLoopback6(target)) return TARGET;
    if (isUnspecified(view.source6)) return this.#judgeDetection(view);
    const { addresses } = this.#state;
    const place = addresses.find(view.source6);
    if (place === NO_PLACE) return this.#unknown(view);
    const { destination6 } = view;
    if (!isSameAddress(destination6, target) && !isSolicitedNodeOf(destination6, target)) return DESTINATION;
    if (!this.#hasOwnLinks()) return LINK_LAYER;
    return this.#passFrom(place);
  }

  /** Duplicate address detection (RFC 4862 5.4): how the VM comes to an address. */
  #judgeDetection(view: FrameView): number {
    const { addresses, router, bucket, message } = this.#state;
    const { target } = message;
    if (!isSolicitedNodeOf(view.destination6, target)) return DESTINATION;
    if (message.sourceLinkHigh !== NO_LINK || !this.#hasOwnLinks()) return LINK_LAYER;
    const known = addresses.find(target) !== NO_PLACE;
    if (!known && !router.mayBeVms(target)) return TARGET;
    const now = this.#clock[0]!;
    if (!bucket.has(now)) return RATE;
    if (!known) {
      const verdict = addresses.admit(target);
      if (verdict !== PASS) return verdict;
    }
    bucket.take(now);
    addresses.detect(target);
    return PASS;
  }

  #judgeAdvertisement(view: FrameView): number {
    const { addresses, message, bucket } = this.#state;
    const target = addresses.find(message.target);
    if (target === NO_PLACE) return TARGET;
    const source = addresses.find(view.source6);
    if (source === NO_PLACE) return SOURCE;
    if (!this.#hasOwnLinks()) return LINK_LAYER;
    if (message.isRouter) return ROUTER_FLAG;
    const { destination6 } = view;
    if (isMulticast6(destination6)) {
      const toAll = isLinkLocalGroup(destination6, ALL_NODES) || isLinkLocalGroup(destination6, ALL_ROUTERS);
      if (!toAll) return DESTINATION;
      if (message.isSolicited) return FORMAT;
    }
    if (!bucket.take(this.#clock[0]!)) return RATE;
    addresses.use(target);
    addresses.use(source);
    return PASS;
  }

  #judgeRouterSolicitation(view: FrameView): number {
    const { addresses, message, router, bucket } = this.#state;
    const { source6, destination6 } = view;
    const unspecified = isUnspecified(source6);
    const place = unspecified ? NO_PLACE : addresses.find(source6);
    if (!unspecified && place === NO_PLACE) return SOURCE;
    if ((unspecified && message.sourceLinkHigh !== NO_LINK) || !this.#hasOwnLinks()) return LINK_LAYER;
    if (!isLinkLocalGroup(destination6, ALL_ROUTERS) && !router.isRouter(destination6)) return DESTINATION;
    if (place !== NO_PLACE) return this.#passFrom(place);
    return bucket.take(this.#clock[0]!) ? PASS : RATE;
  }

  #passFrom(place: number): number {
    if (!this.#state.bucket.take(this.#clock[0]!)) return RATE;
    this.#state.addresses.use(place);
    return PASS;
  }

  /** From an address that is none of the VM's: it may be one that softnet does not know. */
  #unknown(view: FrameView): number {
    const { addresses, router } = this.#state;
    if (router.mayBeVms(view.source6)) addresses.ask(view.source6);
    return SOURCE;
  }

  /** Whether each link-layer address in the message is the VM's. */
  #hasOwnLinks(): boolean {
    const { macHigh, macLow, message } = this.#state;
    const { sourceLinkHigh, targetLinkHigh } = message;
    const source = sourceLinkHigh === NO_LINK || (sourceLinkHigh === macHigh && message.sourceLinkLow === macLow);
    const target = targetLinkHigh === NO_LINK || (targetLinkHigh === macHigh && message.targetLinkLow === macLow);
    return source && target;
  }
}
