/** MLD (docs/guard-ipv6.md, MLD; RFC 2710, RFC 3810): the VM says which groups it listens to, and asks nobody (threat row S8). */
import { EXTENSION_HOP_BY_HOP, EXTENSION_ROUTER_ALERT } from "../../wire/extension-headers.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { MLD_DONE, MLD_QUERY, MLD2_REPORT } from "../../wire/icmpv6.ts";
import { hopLimit, PROTOCOL_ICMPV6, readWords } from "../../wire/ipv6.ts";
import {
  ALL_ROUTERS,
  isLinkLocal,
  isLinkLocalGroup,
  isMulticast6,
  isSameAddress,
  isUnspecified,
  MLD2_ROUTERS,
} from "../../wire/ipv6-words.ts";
import { checksum6IsRight } from "../../wire/neighbor-discovery.ts";
import { PASS, verdictOf } from "../reasons.ts";
import type { NeighbourState } from "./neighbour-state.ts";
import { NO_PLACE } from "./own-places.ts";

const FORMAT = verdictOf("mld.format");
const CHECKSUM = verdictOf("mld.checksum");
const ADDRESSES = verdictOf("mld.addresses");
const RATE = verdictOf("nd.rate");

/** Bytes of MLDv1's messages, and where they have their group. */
const MLD1_MESSAGE = 24;
const GROUP = 8;
const MLD2_MESSAGE = 8;

export class MldGuard {
  readonly #state: NeighbourState;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  readonly #group = new Int32Array(4);

  constructor(state: NeighbourState, clock: Float64Array) {
    this.#state = state;
    this.#clock = clock;
  }

  /** Judges a report or a done of the VM's. */
  egress(view: FrameView): number {
    const form = formOf(view);
    if (form !== PASS) return form;
    const { addresses, bucket } = this.#state;
    let place = NO_PLACE;
    if (!isUnspecified(view.source6)) {
      place = addresses.find(view.source6);
      if (place === NO_PLACE || !addresses.isLinkLocal(place)) return ADDRESSES;
    }
    if (!this.#isForItsGroup(view)) return ADDRESSES;
    if (!bucket.take(this.#clock[0]!)) return RATE;
    if (place !== NO_PLACE) addresses.use(place);
    return PASS;
  }

  #isForItsGroup(view: FrameView): boolean {
    const { destination6 } = view;
    if (view.icmpType === MLD2_REPORT) return isLinkLocalGroup(destination6, MLD2_ROUTERS);
    if (view.icmpType === MLD_DONE) return isLinkLocalGroup(destination6, ALL_ROUTERS);
    const group = readWords(view.bytes, view.transport + GROUP, this.#group);
    return isMulticast6(destination6) && isSameAddress(destination6, group);
  }

  /** Judges MLD to the VM. */
  ingress(view: FrameView): number {
    const form = formOf(view);
    if (form !== PASS) return form;
    const { source6, destination6, icmpType } = view;
    const withoutAddress = icmpType !== MLD_QUERY && icmpType !== MLD_DONE && isUnspecified(source6);
    if (!withoutAddress && !isLinkLocal(source6)) return ADDRESSES;
    return isMulticast6(destination6) || this.#state.addresses.find(destination6) !== NO_PLACE ? PASS : ADDRESSES;
  }
}

function formOf(view: FrameView): number {
  const { bytes, packet, transport, transportLength } = view;
  if (view.extensions !== (EXTENSION_HOP_BY_HOP | EXTENSION_ROUTER_ALERT)) return FORMAT;
  if (hopLimit(bytes, packet) !== 1 || view.icmpCode !== 0) return FORMAT;
  if (!checksum6IsRight(bytes, packet, PROTOCOL_ICMPV6, transport, transportLength)) return CHECKSUM;
  return transportLength >= (view.icmpType === MLD2_REPORT ? MLD2_MESSAGE : MLD1_MESSAGE) ? PASS : FORMAT;
}
