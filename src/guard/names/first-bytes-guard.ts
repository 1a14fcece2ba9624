/** Judges the first bytes that the VM sends in a flow (docs/guard-names.md, First bytes): whom they ask for. */
import { NAME_ALLOWED, NAME_BLOCKED } from "../../policy/name-table.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { HELLO_MORE, HELLO_NAMED, HELLO_NAMELESS } from "../../wire/tls-hello.ts";
import { HELLO_NONE } from "../../wire/tls-retry.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { MALFORMED, MORE, NAMED, UNREADABLE } from "./first-bytes.ts";
import { AWAITING, type Inspection, LENIENT, READ, READING, REPLY_FINAL, REPLY_RETRY, WATCHED } from "./inspection.ts";
import type { NameJudge } from "./name-judge.ts";
import { MOST_HELD, CHANGED as OTHER_BYTES, OUT_OF_ORDER } from "./ordered-bytes.ts";

const ORDER = verdictOf("name.order");
const CHANGED = verdictOf("name.changed");
const FORMAT = verdictOf("name.format");
const MISSING = verdictOf("name.missing");
const DENIED = verdictOf("name.denied");

export class FirstBytesGuard {
  readonly #judge: NameJudge;

  constructor(judge: NameJudge) {
    this.#judge = judge;
  }

  /** Judges a segment with `length` bytes of data, which may be none. */
  egress(inspection: Inspection, view: FrameView, length: number, now: number): number {
    if (length === 0) return PASS;
    const { fromVm } = inspection;
    const { tcpSequence: sequence } = view;
    const data = view.transport + view.tcpHeaderLength;
    if (inspection.state !== READING && inspection.state !== AWAITING) {
      const offset = (sequence - fromVm.start) | 0;
      if (offset >= fromVm.held) return PASS;
      return faultOf(fromVm.repeated(sequence, view.bytes, data, length));
    }
    const before = fromVm.held;
    const fresh = fromVm.take(sequence, view.bytes, data, length);
    if (fresh <= 0) return faultOf(fresh);
    inspection.lastByte = now;
    return inspection.state === READING ? this.#read(inspection, before) : this.#readBehind(inspection, before);
  }

  /** Reads what is held from `from` on. */
  #read(inspection: Inspection, from: number): number {
    const { fromVm, reader, remote, remotePort: port, mode } = inspection;
    const judge = this.#judge;
    let status = reader.feed(fromVm.bytes, from, fromVm.held - from, mode !== LENIENT);
    if (status === MORE) {
      if (fromVm.held < MOST_HELD) return PASS;
      status = MALFORMED;
    }
    const length = status === NAMED ? reader.nameLength : 0;
    const said = length > 0 ? judge.ask(reader.name, length, port) : 0;
    let verdict = PASS;
    if (mode === WATCHED) {
      if (said === NAME_BLOCKED) verdict = DENIED;
    } else if (status === NAMED) {
      if (said !== NAME_ALLOWED || !judge.hasPair(reader.name, length, remote, port)) verdict = DENIED;
    } else if (status === MALFORMED) {
      verdict = FORMAT;
    } else if (mode !== LENIENT || status !== UNREADABLE) {
      verdict = MISSING;
    }
    inspection.state = READ;
    judge.tellConnection(remote, port, reader.name, length, verdict);
    const { helloLength } = reader;
    if (verdict !== PASS || mode === WATCHED || status !== NAMED || helloLength === 0) return verdict;
    if (inspection.reply === REPLY_FINAL) return PASS;
    inspection.state = AWAITING;
    inspection.retry.start();
    return this.#readBehind(inspection, helloLength);
  }

  /** Reads what is held from `from` on, behind the hello: the other side may ask for another one, and go by that. */
  #readBehind(inspection: Inspection, from: number): number {
    const { fromVm, reader, retry, remote, remotePort: port, reply } = inspection;
    const status = from < fromVm.held ? retry.feed(fromVm.bytes, from, fromVm.held - from) : HELLO_MORE;
    if (status === HELLO_MORE) return fromVm.held < MOST_HELD ? PASS : FORMAT;
    inspection.state = READ;
    if (status === HELLO_NONE) return reply === REPLY_RETRY ? FORMAT : PASS;
    if (status !== HELLO_NAMED) return status === HELLO_NAMELESS ? MISSING : FORMAT;
    const { labels, length } = retry.hello.host;
    let isSame = length === reader.nameLength;
    for (let at = 0; at < length && isSame; at++) isSame = labels[at] === reader.name[at];
    // RFC 8446 4.1.2: the second one says the same but for its keys.
    if (isSame) return PASS;
    this.#judge.tellConnection(remote, port, labels, length, DENIED);
    return DENIED;
  }
}

/** Of a result of OrderedBytes. */
function faultOf(result: number): number {
  if (result === OUT_OF_ORDER) return ORDER;
  return result === OTHER_BYTES ? CHANGED : PASS;
}
