/** What is known of one inspected TCP flow. The objects are used again for the next flow. */
import type { FrameView } from "../../wire/frame-view.ts";
import { TCP_ACK, TCP_SYN } from "../../wire/tcp.ts";
import { mayBeRetry, RETRY_LENGTH, TlsRetry } from "../../wire/tls-retry.ts";
import { Endpoints } from "./endpoints.ts";
import { FirstBytes } from "./first-bytes.ts";
import { OrderedBytes } from "./ordered-bytes.ts";

/** How a flow is inspected: opened by name to port 80 or 443; by name to another one; let pass by address; DNS. */
export const STRICT = 0;
export const LENIENT = 1;
export const WATCHED = 2;
export const DNS = 3;

/**
 * What an inspection waits for: bytes; that what it has read is acknowledged; nothing; to know whether the other side asks for
 * another hello.
 */
export const READING = 0;
export const READ = 1;
export const DONE = 2;
export const AWAITING = 3;

/** Whether the other side's first bytes are a HelloRetryRequest: they have not all come; no; yes. */
export const REPLY_UNKNOWN = 0;
export const REPLY_FINAL = 1;
export const REPLY_RETRY = 2;

export class Inspection {
  mode = STRICT;
  state = READING;
  /** The flow in its table. */
  flow = 0;
  /** As the flow knows it. */
  remote = 0;
  remotePort = 0;
  ownPort = 0;
  /** Sequence number of the stream's first byte; what is held may begin later (DNS). */
  first = 0;
  /** Sequence number behind the last byte of the VM's that has passed, unsigned. */
  passed = 0;
  /** When the SYN came, or the last new byte; microseconds. */
  lastByte = 0;
  readonly ends = new Endpoints();
  readonly fromVm = new OrderedBytes();
  /** Of DNS. */
  readonly toVm = new OrderedBytes();
  /** Whether the other side has taken the SYN with which the stream begins here; its own first sequence number is known then. */
  isAnswered = false;
  /** Of the bytes held, those of messages that were judged; DNS. */
  judgedFromVm = 0;
  judgedToVm = 0;
  readonly reader = new FirstBytes();
  reply = REPLY_UNKNOWN;
  /** Sequence number of the other side's byte that is read next, and how many were read. */
  #replyNext = 0;
  #replySeen = 0;
  /** Made when it is needed first. */
  #retry: TlsRetry | undefined;

  begin(mode: number, flow: number, remote: number, now: number): void {
    this.mode = mode;
    this.state = READING;
    this.flow = flow;
    this.remote = remote;
    this.lastByte = now;
    this.judgedFromVm = 0;
    this.judgedToVm = 0;
    this.reader.reset();
  }

  /** Of what the VM sends behind its hello. */
  get retry(): TlsRetry {
    this.#retry ??= new TlsRetry();
    return this.#retry;
  }

  /** The other side has taken the SYN; `sequence`: of its own first byte. */
  beginReply(sequence: number): void {
    if (this.isAnswered && this.#replySeen > 0) return;
    this.isAnswered = true;
    this.#replyNext = sequence;
  }

  /** Reads a segment's data from the other side; false: it is ahead of its turn. */
  readReply(sequence: number, bytes: Uint8Array, at: number, length: number): boolean {
    const known = (this.#replyNext - sequence) | 0;
    if (known < 0) return false;
    for (let index = known; index < length && this.reply === REPLY_UNKNOWN; index++) {
      if (!mayBeRetry(this.#replySeen++, bytes[at + index]!)) this.reply = REPLY_FINAL;
      else if (this.#replySeen === RETRY_LENGTH) this.reply = REPLY_RETRY;
      this.#replyNext = (this.#replyNext + 1) >>> 0;
    }
    return true;
  }

  /** Whether a segment to the VM is the other side's SYN, and acknowledges the SYN with which the stream begins here. */
  isTakenBy({ tcpFlags, tcpAcknowledgement }: FrameView): boolean {
    const flags = TCP_SYN | TCP_ACK;
    return (tcpFlags & flags) === flags && tcpAcknowledgement === this.first;
  }

  /** The stream from the VM begins; `sequence`: of its first byte. */
  beginFromVm(sequence: number): void {
    this.fromVm.begin(sequence);
    this.first = sequence;
    this.passed = sequence;
    this.isAnswered = false;
    this.reply = REPLY_UNKNOWN;
    this.#replySeen = 0;
  }

  /** Data of the VM's passes up to before `end`. */
  pass(end: number): void {
    if (((end - this.passed) | 0) > 0) this.passed = end >>> 0;
  }
}
