/** Which dropped packet of the VM's gets which answer (docs/guard.md, Answers to what is denied); the same in both families. */
import type { FrameView } from "../wire/frame-view.ts";
import { ICMP_REDIRECT } from "../wire/icmp.ts";
import { PROTOCOL_UDP } from "../wire/ipv4.ts";
import { SOUND } from "../wire/malformed.ts";
import { isBareSyn, TCP_ACK, TCP_FIN, TCP_HEADER, TCP_RST } from "../wire/tcp.ts";
import { isErrorReport } from "./flow-key.ts";
import { DROP_REASONS, verdictOf } from "./reasons.ts";
import { TokenBucket } from "./token-bucket.ts";

const ANSWERS_PER_SECOND = 100;
const ANSWER_BURST = 200;

/** A family's, for all its answers. */
export const answerBucket = (): TokenBucket => new TokenBucket(ANSWERS_PER_SECOND, ANSWER_BURST);

/** Refusals that tell a UDP program at once that nobody is there: it shall try another way. */
const NAMES_REFUSALS = ["name.resolver", "name.rebind", "name.quic", "name.unpinned"] as const;
const IS_UNREACHABLE = new Uint8Array(DROP_REASONS.length + 1);
for (const name of NAMES_REFUSALS) IS_UNREACHABLE[verdictOf(name)] = 1;

/** By verdict: whether what was dropped for it is answered. Never what failed a check against spoofing. */
const IS_ANSWERED = new Uint8Array(DROP_REASONS.length + 1);
for (const name of [
  "policy.block",
  "policy.destination",
  "policy.gateway",
  "policy.metadata",
  "policy.on-link",
  "flow.full",
  "flow.half-open",
  "flow.unknown",
  "flow.cut",
  "dns.format",
  "dns.fragment",
  "dns.budget",
  "name.full",
  "name.denied",
  "name.missing",
  "name.format",
  "name.changed",
  ...NAMES_REFUSALS,
]) {
  IS_ANSWERED[verdictOf(name)] = 1;
}

/** Nothing; a RST to a bare SYN; a RST to another segment; an ICMP error: administratively prohibited, port unreachable. */
export const NO_ANSWER = 0;
export const REFUSED = 1;
export const RESET = 2;
export const PROHIBITED = 3;
export const UNREACHABLE = 4;

/** The answer to a frame of the VM's that did not go to many. `lost`: it is a TCP segment of a flow that is cut or not known. */
export function answerTo(view: FrameView, verdict: number, lost: boolean): number {
  const { tcpFlags: flags, icmpType } = view;
  if (IS_ANSWERED[verdict] !== 1 || view.malformed !== SOUND) return NO_ANSWER;
  if (view.isToGroup || view.fragmentOffset !== 0) return NO_ANSWER;
  if ((flags & TCP_RST) !== 0 || isErrorReport(icmpType) || icmpType === ICMP_REDIRECT) return NO_ANSWER;
  if (isBareSyn(flags)) {
    const { tcpHeaderLength } = view;
    return tcpHeaderLength < TCP_HEADER || tcpHeaderLength > view.transportLength ? NO_ANSWER : REFUSED;
  }
  if (lost && (flags & TCP_ACK) !== 0) return RESET;
  return IS_UNREACHABLE[verdict] === 1 && view.protocol === PROTOCOL_UDP ? UNREACHABLE : PROHIBITED;
}

/** What a RST to a bare SYN acknowledges: it, its data and a FIN (RFC 9293 3.10.7.1). */
export function synAcknowledgement(view: FrameView): number {
  const end = (view.tcpFlags & TCP_FIN) !== 0 ? 1 : 0;
  return (view.tcpSequence + 1 + view.transportLength - view.tcpHeaderLength + end) >>> 0;
}
