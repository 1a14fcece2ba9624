/**
 * Neighbour discovery to the VM: only the router advertises itself, nobody claims the router's addresses or the VM's, and who
 * says that he has an address that the VM tries for is heard as an answer only (threat rows S1, S3, S6). docs/guard-ipv6.md
 * specifies each check.
 */
import { get16 } from "../../wire/bytes.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import {
  ND_NEIGHBOR_ADVERTISEMENT,
  ND_NEIGHBOR_SOLICITATION,
  ND_REDIRECT,
  ND_ROUTER_SOLICITATION,
} from "../../wire/icmpv6.ts";
import {
  ALL_NODES,
  isInLinkLocalPrefix,
  isLinkLocalGroup,
  isMulticast6,
  isSolicitedNodeOf,
  isUnspecified,
} from "../../wire/ipv6-words.ts";
import { NO_LINK } from "../../wire/neighbor-discovery.ts";
import { fresh } from "../fresh.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { readNeighborDiscovery } from "./nd-form.ts";
import type { NeighbourState } from "./neighbour-state.ts";
import { NO_PLACE } from "./own-places.ts";

const TYPE = verdictOf("icmpv6.type");
const ROUTER_MESSAGE = verdictOf("icmpv6.router");
const FORMAT = verdictOf("nd.format");
const SOURCE = verdictOf("nd.source");
const DESTINATION = verdictOf("nd.destination");
const LINK_LAYER = verdictOf("nd.link-layer");
const TARGET = verdictOf("nd.target");
const ROUTER = verdictOf("nd.router");
const CONFLICT = verdictOf("nd.conflict");

/** How long an answer to duplicate address detection may come; microseconds. */
const ANSWER_WINDOW = 3_000_000;
/** Of a router advertisement's router lifetime, from the message's first byte. */
const ROUTER_LIFETIME = 6;

export class NdIngress {
  readonly #state: NeighbourState;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;

  constructor(state: NeighbourState, clock: Float64Array) {
    this.#state = state;
    this.#clock = clock;
  }

  judge(view: FrameView): number {
    const form = readNeighborDiscovery(view, this.#state.message);
    if (form !== PASS) return form;
    switch (view.icmpType) {
      case ND_ROUTER_SOLICITATION:
        return TYPE;
      case ND_REDIRECT:
        return ROUTER_MESSAGE;
      case ND_NEIGHBOR_SOLICITATION:
        return this.#judgeSolicitation(view);
      case ND_NEIGHBOR_ADVERTISEMENT:
        return this.#judgeAdvertisement(view);
      default:
        return this.#judgeRouterAdvertisement(view);
    }
  }

  #judgeRouterAdvertisement(view: FrameView): number {
    const { addresses, router, message } = this.#state;
    const { source6, destination6, sourceHigh, sourceLow, bytes } = view;
    if (!isInLinkLocalPrefix(source6) || addresses.find(source6) !== NO_PLACE) return SOURCE;
    if (!isLinkLocalGroup(destination6, ALL_NODES) && addresses.find(destination6) === NO_PLACE) return DESTINATION;
    const { sourceLinkHigh: high, sourceLinkLow: low } = message;
    if (high !== NO_LINK && (high !== sourceHigh || low !== sourceLow)) return LINK_LAYER;
    if (!router.accepts(source6, sourceHigh, sourceLow)) return ROUTER;
    const lifetime = get16(bytes, view.transport + ROUTER_LIFETIME);
    if (router.learn(source6, sourceHigh, sourceLow, lifetime, message, bytes, this.#clock[0]!)) {
      this.#state.networkChanged();
    }
    return PASS;
  }

  #judgeSolicitation(view: FrameView): number {
    const { addresses, router, message } = this.#state;
    const { target, sourceLinkHigh } = message;
    const { source6 } = view;
    const detects = isUnspecified(source6);
    if (detects && (sourceLinkHigh !== NO_LINK || !isSolicitedNodeOf(view.destination6, target))) return FORMAT;
    if (isMulticast6(target)) return TARGET;
    // The VM defends its valid addresses itself.
    let claimed = addresses.find(detects ? target : source6);
    if (detects && claimed !== NO_PLACE && !addresses.isTentative(claimed)) claimed = NO_PLACE;
    if (claimed !== NO_PLACE && !this.#mayAnswer(claimed)) return CONFLICT;
    if (router.isItsAddress(source6) && !this.#isFromRouter(view, sourceLinkHigh, message.sourceLinkLow)) return ROUTER;
    if (claimed !== NO_PLACE) this.#answered(claimed);
    return PASS;
  }

  #judgeAdvertisement(view: FrameView): number {
    const { addresses, router, message } = this.#state;
    const { target } = message;
    if (isMulticast6(target) || (message.isSolicited && isMulticast6(view.destination6))) return FORMAT;
    const claimed = addresses.find(target);
    if (claimed !== NO_PLACE && !this.#mayAnswer(claimed)) return CONFLICT;
    if (router.isItsAddress(target) && !this.#isFromRouter(view, message.targetLinkHigh, message.targetLinkLow)) {
      return ROUTER;
    }
    if (claimed !== NO_PLACE) this.#answered(claimed);
    return PASS;
  }

  /** Whether the frame comes from the router's MAC and says nothing else of itself. */
  #isFromRouter(view: FrameView, linkHigh: number, linkLow: number): boolean {
    const { router } = this.#state;
    if (!router.isItsMac(view.sourceHigh, view.sourceLow)) return false;
    return linkHigh === NO_LINK || router.isItsMac(linkHigh, linkLow);
  }

  /**
   * Whether a claim of an address of the VM's may be the answer to its duplicate address detection. Where softnet alone has
   * asked for it, the answer was for softnet.
   */
  #mayAnswer(place: number): boolean {
    const { addresses, answers } = this.#state;
    const now = this.#clock[0]!;
    if (addresses.isAsked(place)) {
      addresses.end(place, "refused");
      return false;
    }
    return fresh(addresses.detectedAt(place), now, ANSWER_WINDOW) && answers.has(now);
  }

  /** The answer passes. A valid address stays: who claims it cannot be told from somebody who wants to keep the VM off. */
  #answered(place: number): void {
    const { addresses, answers } = this.#state;
    answers.take(this.#clock[0]!);
    if (addresses.isTentative(place)) addresses.end(place, "refused");
  }
}
