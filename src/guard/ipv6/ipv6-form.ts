/** What an IPv6 packet must look like before its addresses are asked (docs/guard-ipv6.md, Form), in either direction. */
import { ETHERNET_HEADER } from "../../wire/ethernet.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { IPV6_HEADER } from "../../wire/ipv6.ts";
import {
  IPV6_EXTENSION,
  IPV6_FORM,
  IPV6_FRAGMENT,
  IPV6_LOOPBACK,
  IPV6_OPTIONS,
  IPV6_ROUTING,
  IPV6_SOURCE,
  IPV6_TRANSPORT,
  SOUND,
} from "../../wire/malformed.ts";
import { COMPLETE } from "../../wire/virtio-net.ts";
import { PASS, verdictOf } from "../reasons.ts";

const FORMAT = verdictOf("ipv6.format");
const OFFLOAD = verdictOf("frame.offload");

/** By what is malformed. */
const VERDICTS = new Uint8Array(IPV6_LOOPBACK + 1);
VERDICTS[SOUND] = PASS;
VERDICTS[IPV6_FORM] = FORMAT;
VERDICTS[IPV6_EXTENSION] = verdictOf("ipv6.extension");
VERDICTS[IPV6_OPTIONS] = verdictOf("ipv6.options");
VERDICTS[IPV6_ROUTING] = verdictOf("ipv6.routing");
VERDICTS[IPV6_FRAGMENT] = verdictOf("ipv6.fragment");
VERDICTS[IPV6_TRANSPORT] = verdictOf("ipv6.transport");
VERDICTS[IPV6_SOURCE] = verdictOf("ipv6.source");
VERDICTS[IPV6_LOOPBACK] = verdictOf("ipv6.loopback");

/** Judges the form of a frame whose type is IPv6's. */
export function judgeIPv6Form(view: FrameView): number {
  if (view.offload !== COMPLETE) return hasPacket(view) ? OFFLOAD : FORMAT;
  return VERDICTS[view.malformed]!;
}

/** Whether version and lengths are right, whatever is wrong with the rest. */
function hasPacket({ bytes, packet, length, totalLength }: FrameView): boolean {
  return totalLength > IPV6_HEADER && totalLength <= length - ETHERNET_HEADER && bytes[packet]! >>> 4 === 6;
}
