/** What a message of neighbour discovery must look like (docs/guard-ipv6.md, Neighbour discovery), in either direction. */
import type { FrameView } from "../../wire/frame-view.ts";
import { hopLimit, PROTOCOL_ICMPV6 } from "../../wire/ipv6.ts";
import { checksum6IsRight, type NdMessage } from "../../wire/neighbor-discovery.ts";
import { PASS, verdictOf } from "../reasons.ts";

const EXTENSION = verdictOf("nd.extension");
const FORMAT = verdictOf("nd.format");
const CHECKSUM = verdictOf("nd.checksum");

/** What no router forwards (RFC 4861 3.1). */
const ON_LINK_HOPS = 255;

/** Reads a message into `message`; PASS or a drop reason's number. */
export function readNeighborDiscovery(view: FrameView, message: NdMessage): number {
  if (view.extensions !== 0) return EXTENSION;
  const { bytes, packet, transport, transportLength } = view;
  if (hopLimit(bytes, packet) !== ON_LINK_HOPS || view.icmpCode !== 0) return FORMAT;
  if (!checksum6IsRight(bytes, packet, PROTOCOL_ICMPV6, transport, transportLength)) return CHECKSUM;
  return message.read(bytes, transport, transportLength, view.icmpType) ? PASS : FORMAT;
}
