/**
 * Judges DNS over TCP (docs/guard-names.md, DNS over TCP): messages behind their length (RFC 1035 4.2.2), in order, both ways.
 * Bytes are held until their message was judged and the other side has acknowledged them, so that a repetition can be compared.
 */
import { get16 } from "../../wire/bytes.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { TCP_ACK, TCP_FIN, TCP_PSH, TCP_SYN } from "../../wire/tcp.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { LONGEST_SEGMENT } from "./endpoints.ts";
import type { Inspection } from "./inspection.ts";
import type { NameJudge } from "./name-judge.ts";
import { MOST_HELD, type OrderedBytes, CHANGED as OTHER_BYTES, OUT_OF_ORDER } from "./ordered-bytes.ts";

const ORDER = verdictOf("name.order");
const CHANGED = verdictOf("name.changed");
const FORMAT = verdictOf("dns.format");
const DENIED = verdictOf("dns.denied");
const TYPE = verdictOf("dns.type");

const LENGTH = 2;
/** Bytes of the longest question, and of the longest answer: what can be held with its length. */
const LONGEST_QUESTION = 512;
const LONGEST_ANSWER = MOST_HELD - LENGTH;
const SHORTEST_MESSAGE = 12;

export class DnsStream {
  readonly #judge: NameJudge;
  /** softnet's own answer to the last denied question: a whole frame. */
  readonly #answer = new Uint8Array(LONGEST_SEGMENT + LENGTH + LONGEST_QUESTION);
  #answerLength = 0;

  constructor(judge: NameJudge) {
    this.#judge = judge;
  }

  /** Judges a segment from the VM with `length` bytes of data, which may be none. */
  egress(inspection: Inspection, view: FrameView, length: number, now: number): number {
    this.#answerLength = 0;
    const verdict = length === 0 ? PASS : this.#readQuestions(inspection, view, length, now);
    // Only now: what drops acknowledges nothing, as the other side never gets it.
    if (verdict === PASS && inspection.isAnswered && (view.tcpFlags & TCP_ACK) !== 0) {
      inspection.judgedToVm -= forget(inspection.toVm, view.tcpAcknowledgement, inspection.judgedToVm);
    }
    return verdict;
  }

  #readQuestions(inspection: Inspection, view: FrameView, length: number, now: number): number {
    const verdict = take(inspection.fromVm, view, length);
    if (verdict !== PASS) return verdict;
    inspection.lastByte = now;
    return this.#judgeQuestions(inspection, view, length);
  }

  #judgeQuestions(inspection: Inspection, view: FrameView, length: number): number {
    const { fromVm, remote, ownPort } = inspection;
    for (;;) {
      const at = inspection.judgedFromVm;
      const message = messageAt(fromVm, at, LONGEST_QUESTION);
      if (message < 0) return FORMAT;
      if (message === 0) return PASS;
      inspection.judgedFromVm = at + LENGTH + message;
      const verdict = this.#judge.judgeQuestion(fromVm.bytes, at + LENGTH, message, remote, ownPort);
      if (verdict === PASS) continue;
      if (verdict === DENIED || verdict === TYPE) this.#write(inspection, view, length, at + LENGTH, message, verdict);
      return verdict;
    }
  }

  /** Judges a segment to the VM. */
  ingress(inspection: Inspection, view: FrameView, length: number, now: number): number {
    const verdict = this.#readAnswers(inspection, view, length, now);
    if (verdict === PASS && (view.tcpFlags & TCP_ACK) !== 0) {
      inspection.judgedFromVm -= forget(inspection.fromVm, view.tcpAcknowledgement, inspection.judgedFromVm);
    }
    return verdict;
  }

  #readAnswers(inspection: Inspection, view: FrameView, length: number, now: number): number {
    const { toVm, remote, ownPort } = inspection;
    const isSyn = (view.tcpFlags & TCP_SYN) !== 0;
    if (length > 0 && (isSyn || !inspection.isAnswered)) return ORDER;
    if (!inspection.isAnswered) {
      if (!inspection.isTakenBy(view)) return PASS;
      toVm.begin((view.tcpSequence + 1) >>> 0);
      inspection.isAnswered = true;
      return PASS;
    }
    if (length === 0) return PASS;
    const verdict = take(toVm, view, length);
    if (verdict !== PASS) return verdict;
    inspection.lastByte = now;
    for (;;) {
      const at = inspection.judgedToVm;
      const message = messageAt(toVm, at, LONGEST_ANSWER);
      if (message < 0) return FORMAT;
      if (message === 0) return PASS;
      inspection.judgedToVm = at + LENGTH + message;
      const said = this.#judge.judgeAnswer(toVm.bytes, at + LENGTH, message, remote, ownPort);
      if (said !== PASS) return said;
    }
  }

  takeAnswer(out: Uint8Array, at: number): number {
    const length = this.#answerLength;
    if (length > 0) out.set(this.#answer.subarray(0, length), at);
    this.#answerLength = 0;
    return length;
  }

  /** Writes the frame with softnet's answer, after which the other side seems to close. */
  #write(
    { ends, fromVm, toVm, isAnswered }: Inspection,
    view: FrameView,
    length: number,
    question: number,
    questionLength: number,
    verdict: number,
  ): void {
    const out = this.#answer;
    const at = ends.dataAt(0);
    const answer = this.#judge.putAnswer(fromVm.bytes, question, questionLength, verdict, out, at + LENGTH);
    if (answer === 0) return;
    out[at] = answer >>> 8;
    out[at + 1] = answer & 0xff;
    // An answer to an earlier question may be on its way: it comes before this one.
    const sequence = isAnswered ? toVm.next : view.tcpAcknowledgement;
    const acknowledgement = (view.tcpSequence + length) >>> 0;
    const flags = TCP_ACK | TCP_PSH | TCP_FIN;
    this.#answerLength = ends.putToVm(out, 0, sequence, acknowledgement, flags, LENGTH + answer);
  }
}

/** Takes a segment's data, all of it or none. */
function take(stream: OrderedBytes, view: FrameView, length: number): number {
  const { tcpSequence: sequence, bytes } = view;
  const data = view.transport + view.tcpHeaderLength;
  const repeated = stream.repeated(sequence, bytes, data, length);
  if (repeated === OUT_OF_ORDER) return ORDER;
  if (repeated === OTHER_BYTES) return CHANGED;
  // More than was acknowledged has room: it comes again.
  if (stream.held + length - repeated > MOST_HELD) return ORDER;
  stream.take(sequence, bytes, data, length);
  return PASS;
}

/** The length of the message that begins at `at`; 0 = it is not complete; negative: it is too long or too short. */
function messageAt({ bytes, held }: OrderedBytes, at: number, most: number): number {
  if (held - at < LENGTH) return 0;
  const length = get16(bytes, at);
  if (length > most || length < SHORTEST_MESSAGE) return -1;
  return held - at < LENGTH + length ? 0 : length;
}

/** Forgets what is acknowledged of the first `judged` bytes; returns how many these are. */
function forget(stream: OrderedBytes, acknowledgement: number, judged: number): number {
  const count = Math.min((acknowledgement - stream.start) | 0, judged);
  if (count <= 0) return 0;
  stream.forget(count);
  return count;
}
