/**
 * The states of a flow as bits of one number, and for how long it lives in each (docs/guard.md, Flows).
 *
 *   TCP    half-open → open     a bare SYN opens it; the other side's SYN and ACK and then the opening side's segment without
 *                               SYN and RST complete it; what the VM begins in the middle is open at once, what the
 *                               other side begins there once the VM has sent a segment without RST
 *          half-open → over       the side that did not open it sends a RST
 *          open ⇄ closed        FIN from both sides, for good; or a RST, until either side sends a segment without one: a
 *                               RST that its receiver does not believe (RFC 5961) closes nothing
 *   all    live → over          nothing of it passed for 7,440 s (TCP), 60 s (half-open), 240 s (closed), 30 s (UDP), 120 s
 *                               (answered UDP), 60 s (echo)
 *   all    live ⇄ cut → over    a changed policy no longer allows it, or does again; its place remembers it, so that what
 *                               the far side goes on sending is not taken for something new
 */
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from "../wire/tcp.ts";

/** What a flow is of. */
export const FLOW_TCP = 0;
export const FLOW_UDP = 1;
/** The VM asks, the other side answers; the ports are the identifier. */
export const FLOW_ECHO_FROM_VM = 2;
/** The other side asks. */
export const FLOW_ECHO_TO_VM = 3;
/** What belongs to no flow. */
export const NO_KIND = -1;

/*
 * Seconds without a packet after which a flow is over once they are exceeded.
 */
/** RFC 5382 REQ-5: 2 hours and 4 minutes, so that keep-alives every 2 hours (RFC 1122 4.2.3.6) keep it. */
export const TCP_SECONDS = 7440;
const HALF_OPEN_SECONDS = 60;
/** RFC 5382 REQ-5: twice the longest life of a segment (RFC 9293 3.4.2). */
export const CLOSED_SECONDS = 240;
/** A question without an answer. */
const UDP_SECONDS = 30;
/** RFC 4787 REQ-5 */
const ANSWERED_UDP_SECONDS = 120;
/** RFC 5508 REQ-1 */
const ECHO_SECONDS = 60;

/** A flow with a packet in the last seconds, as many as this, makes no room for others. */
export const SAFE_SECONDS = 300;
/** The same of an ended one: a FIN whose acknowledgement was lost comes again before (RFC 6298 2.4). */
const ENDED_SECONDS = 1;

/** Bits of the state. The lowest ones are part of what the flow is found by: its kind, and the place of the VM's address. */
export const KIND = 3;
const PLACE_SHIFT = 2;
/** Addresses of the VM's that flows can be told apart by. */
export const MOST_PLACES = 32;
export const KIND_AND_PLACE = KIND | ((MOST_PLACES - 1) << PLACE_SHIFT);
export const OPENED_BY_OTHER = 1 << 7;
const AWAITS_ANSWER = 1 << 8;
const AWAITS_OPENER = 1 << 9;
/** The other side began in the middle. */
const AWAITS_VM = 1 << 10;
export const IS_HALF_OPEN = AWAITS_ANSWER | AWAITS_OPENER | AWAITS_VM;
export const ACKNOWLEDGED = 1 << 11;
export const IN_USE = 1 << 12;
export const CUT = 1 << 13;
/** It waits in the queue of those that get a RST. */
export const QUEUED = 1 << 14;
/** It stands in a list of idle ones, not in the wheel. */
export const IDLE = 1 << 15;
/** A FIN without RST passed, from the VM and from the other side. */
const FIN_OF_VM = 1 << 16;
const FIN_OF_OTHER = 1 << 17;
const BOTH_FINS = FIN_OF_VM | FIN_OF_OTHER;
/** The last segment that passed, of whichever side, has RST. */
export const RESET = 1 << 18;
/** TCP and UDP: a packet of the side that did not open it passed; of TCP where it was half-open, so that both were looked at. */
export const ANSWERED = 1 << 19;
/** With RESET: one of the VM's segments since the last one without RST has it. */
const RESET_BY_VM = 1 << 20;

/** No state: the flow has ended. */
export const OVER = -1;

/** A kind and the place of an address of the VM's, 0 … 31, at once. */
export function withPlace(kind: number, place: number): number {
  return kind | (place << PLACE_SHIFT);
}

export function placeOf(state: number): number {
  return (state & KIND_AND_PLACE) >>> PLACE_SHIFT;
}

/** What a flow waits for first, where it begins half-open. */
export function firstState(kind: number, byOther: boolean, bareSyn: boolean): number {
  if (kind !== FLOW_TCP) return 0;
  if (bareSyn) return AWAITS_ANSWER;
  return byOther ? AWAITS_VM : 0;
}

export function sideOf(state: number): 0 | 1 {
  return (state & OPENED_BY_OTHER) === 0 ? 0 : 1;
}

/** The bits that close a flow are TCP's alone. */
export function isClosed(state: number): boolean {
  return (state & IS_HALF_OPEN) === 0 && ((state & RESET) !== 0 || (state & BOTH_FINS) === BOTH_FINS);
}

/** Whether a flow is closed by the VM's doing, too: a RST that came from outside alone may be anybody's. */
export function isEnded(state: number): boolean {
  return isClosed(state) && (state & (FIN_OF_VM | RESET_BY_VM)) !== 0;
}

/**
 * Whether packets of a flow, without SYN, FIN and RST, change nothing but the second of its last one: it is complete, uncut,
 * not closed, and its place is not in danger.
 */
export function isSteady(state: number): boolean {
  return (state & (IS_HALF_OPEN | RESET | CUT | IDLE)) === 0 && !isClosed(state);
}

/** Seconds that a flow in a state lives on without a packet. */
export function patienceOf(state: number): number {
  const kind = state & KIND;
  if (kind === FLOW_UDP) return (state & ANSWERED) !== 0 ? ANSWERED_UDP_SECONDS : UDP_SECONDS;
  if (kind !== FLOW_TCP) return ECHO_SECONDS;
  if ((state & IS_HALF_OPEN) !== 0) return HALF_OPEN_SECONDS;
  return isClosed(state) ? CLOSED_SECONDS : TCP_SECONDS;
}

/** Seconds without a packet after which a flow makes room for others once they are exceeded, where it lives for longer. */
export function restOf(state: number): number {
  return isEnded(state) ? ENDED_SECONDS : SAFE_SECONDS;
}

/** Seconds after its last packet in which the wheel looks at a flow. */
export function delayFor(state: number): number {
  return Math.min(patienceOf(state), restOf(state)) + 1;
}

/**
 * A TCP flow's state after a segment that passed, no bare SYN, or OVER. `opening`: with this segment the flow was opened.
 */
export function stateAfter(before: number, fromOther: boolean, flags: number, opening: boolean): number {
  const halfOpen = (before & IS_HALF_OPEN) !== 0 && !opening;
  const state = halfOpen ? handshakeAfter(before, fromOther, flags) : before;
  if (state === OVER) return OVER;
  if ((flags & TCP_RST) !== 0) return state | RESET | (fromOther ? 0 : RESET_BY_VM);
  const finished = (flags & TCP_FIN) === 0 ? 0 : fromOther ? FIN_OF_OTHER : FIN_OF_VM;
  return (state & ~(RESET | RESET_BY_VM)) | finished;
}

function handshakeAfter(state: number, fromOther: boolean, flags: number): number {
  const fromOpener = ((state & OPENED_BY_OTHER) !== 0) === fromOther;
  const reset = (flags & TCP_RST) !== 0;
  if (reset && !fromOpener && (state & CUT) === 0) return OVER;
  const open = (state & ~IS_HALF_OPEN) | ANSWERED;
  if ((state & AWAITS_ANSWER) !== 0) {
    const answer = !fromOpener && (flags & (TCP_SYN | TCP_ACK)) === (TCP_SYN | TCP_ACK);
    return answer ? open | AWAITS_OPENER : state;
  }
  if ((state & AWAITS_VM) !== 0) return !fromOther && !reset ? open : state;
  return fromOpener && !reset && (flags & TCP_SYN) === 0 ? open : state;
}
