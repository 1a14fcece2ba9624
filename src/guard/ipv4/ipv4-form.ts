/** What an IPv4 packet must look like before its addresses are asked (docs/guard.md, IPv4, 7 and 8), in either direction. */
import type { FrameView } from "../../wire/frame-view.ts";
import { PROTOCOL_IGMP } from "../../wire/ipv4.ts";
import {
  IPV4_CHECKSUM,
  IPV4_FRAGMENT,
  IPV4_LENGTH,
  IPV4_OPTIONS,
  IPV4_TRANSPORT,
  IPV4_VERSION,
  SOUND,
} from "../../wire/malformed.ts";
import { PASS, verdictOf } from "../reasons.ts";

const IGMP = verdictOf("ipv4.igmp");

/** By what is malformed. */
const VERDICTS = new Uint8Array(IPV4_TRANSPORT + 1);
VERDICTS[SOUND] = PASS;
VERDICTS[IPV4_VERSION] = verdictOf("ipv4.format");
VERDICTS[IPV4_LENGTH] = verdictOf("ipv4.format");
VERDICTS[IPV4_OPTIONS] = verdictOf("ipv4.options");
VERDICTS[IPV4_CHECKSUM] = verdictOf("ipv4.checksum");
VERDICTS[IPV4_FRAGMENT] = verdictOf("ipv4.fragment");
VERDICTS[IPV4_TRANSPORT] = verdictOf("ipv4.transport");

/** Judges the form of a frame whose type is IPv4's. */
export function judgeIPv4Form({ malformed, protocol }: FrameView): number {
  return malformed === IPV4_OPTIONS && protocol === PROTOCOL_IGMP ? IGMP : VERDICTS[malformed]!;
}
