/** What an IPv6 packet must look like before its addresses are asked (docs/guard-ipv6.md, Form), in either direction. */
import type { FrameView } from "../../wire/frame-view.ts";
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
import { PASS, verdictOf } from "../reasons.ts";

const FORMAT = verdictOf("ipv6.format");

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
  return VERDICTS[view.malformed]!;
}
