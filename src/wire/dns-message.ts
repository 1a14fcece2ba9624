/**
 * Questions to a DNS server (RFC 1035 4.1), and the two answers that softnet gives in the server's place: that a name does
 * not exist, and that it has no record of the type. Responses are read in dns-response.ts.
 */
import { get16, put16 } from "./bytes.ts";
import {
  CLASS_IN,
  DNS_ADDITIONAL,
  DNS_CHECKING_DISABLED,
  DNS_CLASS,
  DNS_COUNTS,
  DNS_DIRECTION,
  DNS_FIELDS,
  DNS_HEADER,
  DNS_NAME,
  DNS_OPCODE,
  DNS_OPCODE_BITS,
  DNS_RECURSION_AVAILABLE,
  DNS_RECURSION_DESIRED,
  DNS_RESPONSE,
  DNS_SHORT,
  DNS_SOUND,
  DNS_TRAILING,
  RCODE_NO_ERROR,
  RECORD_OPT,
  RECORD_SOA,
} from "./dns-header.ts";
import { DnsName, NO_NAME } from "./dns-name.ts";
import { LONGEST_NAME } from "./host-name.ts";

/** Behind the name of a question: type, class. */
const QUESTION_FIELDS = 4;
/** EDNS (RFC 6891 6.1.2): the root's name, then type, UDP payload size, extended RCODE, version, flags, length. */
const OPT = { type: 1, payloadSize: 3, extendedRcode: 5, version: 6, flags: 7, length: 9, size: 11 } as const;
/**
 * SOA (RFC 1035 3.3.13): the root's name, then type, class, TTL and length of the data, which is the root twice and five numbers.
 * All that is not named is 0, the TTL and the zone's least TTL too.
 */
const SOA = { type: 1, class: 3, length: 9, size: 33, data: 22 } as const;
/** RFC 3225 3. */
const DNSSEC_OK = 0x8000;
/** What softnet says that it takes: as much as passes every path (RFC 9715 3.1). */
const PAYLOAD_SIZE = 1232;
/** BADVERS is 16: 1 in the extended RCODE, 0 in the header's (RFC 6891 9). */
const BAD_VERSION = 1;
/** TCP puts a message's length before it (RFC 1035 4.2.2). */
const TCP_LENGTH = 2;

/** Bytes of the longest message that `putDnsAnswer` writes, with the length that TCP puts before it. */
export const LONGEST_DNS_ANSWER = TCP_LENGTH + DNS_HEADER + LONGEST_NAME + QUESTION_FIELDS + SOA.size + OPT.size;

/** A message with one question. Reused for every message: `read` sets all fields. */
export class DnsQuestion {
  id = 0;
  /** The header's flags, 16 bits. */
  flags = 0;
  readonly name = new DnsName();
  type = 0;
  class = 0;
  /**
   * Bytes of name, type and class, which follow the header: those to compare a response with, and those that an answer
   * repeats. 0 if there is no whole question.
   */
  questionLength = 0;
  /** Whether there is an OPT record, and what it says. */
  hasEdns = false;
  ednsVersion = 0;
  ednsFlags = 0;

  /**
   * Reads the message of `length` bytes at `at`. Returns DNS_SOUND or the first thing that does not hold; the fields before
   * that are right. With DNS_CLASS, which is the last check, all fields are.
   */
  read(bytes: Uint8Array, at: number, length: number): number {
    this.#clear();
    if (length < DNS_HEADER) return DNS_SHORT;
    this.id = get16(bytes, at + DNS_FIELDS.id);
    this.flags = get16(bytes, at + DNS_FIELDS.flags);
    if ((this.flags & DNS_RESPONSE) !== 0) return DNS_DIRECTION;
    if ((this.flags & DNS_OPCODE_BITS) !== 0) return DNS_OPCODE;
    const additionals = get16(bytes, at + DNS_FIELDS.additionals);
    const others = get16(bytes, at + DNS_FIELDS.answers) | get16(bytes, at + DNS_FIELDS.authorities);
    if (get16(bytes, at + DNS_FIELDS.questions) !== 1 || others !== 0 || additionals > 1) return DNS_COUNTS;

    const end = at + length;
    const behind = this.name.read(bytes, at, end, at + DNS_HEADER);
    if (behind === NO_NAME) return DNS_NAME;
    const next = behind + QUESTION_FIELDS;
    if (next > end) return DNS_SHORT;
    this.type = get16(bytes, behind);
    this.class = get16(bytes, behind + 2);
    this.questionLength = next - at - DNS_HEADER;
    const last = additionals === 0 ? next : this.#readEdns(bytes, next, end);
    if (last > end) return DNS_ADDITIONAL;
    if (last < end) return DNS_TRAILING;
    return this.class === CLASS_IN ? DNS_SOUND : DNS_CLASS;
  }

  /** Returns the position behind the record, which is behind `end` for one that is not EDNS or is cut short. */
  #readEdns(bytes: Uint8Array, at: number, end: number): number {
    const wrong = end + 1;
    if (at + OPT.size > end || bytes[at] !== 0 || get16(bytes, at + OPT.type) !== RECORD_OPT) return wrong;
    this.hasEdns = true;
    this.ednsVersion = bytes[at + OPT.version]!;
    this.ednsFlags = get16(bytes, at + OPT.flags);
    return at + OPT.size + get16(bytes, at + OPT.length);
  }

  #clear(): void {
    this.id = 0;
    this.flags = 0;
    this.name.length = 0;
    this.type = 0;
    this.class = 0;
    this.questionLength = 0;
    this.hasEdns = false;
    this.ednsVersion = 0;
    this.ednsFlags = 0;
  }
}

/**
 * Writes softnet's own answer to a question into `out` at `to`, in which LONGEST_DNS_ANSWER bytes must be free. `rcode`:
 * RCODE_NAME_ERROR (the name does not exist) or RCODE_NO_ERROR (it has no record of this type). The question is repeated
 * byte for byte from the message at `at` of `bytes`, which `question` has read: its result was DNS_SOUND or DNS_CLASS.
 * `bytes` must be other memory than `out`. Returns the bytes written, with TCP's length if `overTcp`.
 *
 * A SOA record of the root says that nobody may keep the answer (RFC 2308 5), so that a changed policy works for the next
 * question. Without one a resolver should not keep it either, but Knot Resolver 5 does, for 9 hours.
 */
export function putDnsAnswer(
  out: Uint8Array,
  to: number,
  question: DnsQuestion,
  bytes: Uint8Array,
  at: number,
  rcode: number,
  overTcp: boolean,
): number {
  const message = overTcp ? to + TCP_LENGTH : to;
  const wrongVersion = question.ednsVersion !== 0; // RFC 6891 6.1.3: it gets BADVERS, and no other answer
  const copied = question.flags & (DNS_RECURSION_DESIRED | DNS_CHECKING_DISABLED);
  const code = wrongVersion ? RCODE_NO_ERROR : rcode;
  put16(out, message + DNS_FIELDS.id, question.id);
  put16(out, message + DNS_FIELDS.flags, DNS_RESPONSE | DNS_RECURSION_AVAILABLE | copied | code);
  put16(out, message + DNS_FIELDS.questions, 1);
  put16(out, message + DNS_FIELDS.answers, 0);
  put16(out, message + DNS_FIELDS.authorities, wrongVersion ? 0 : 1);
  put16(out, message + DNS_FIELDS.additionals, question.hasEdns ? 1 : 0);
  let length: number = DNS_HEADER;
  for (const end = DNS_HEADER + question.questionLength; length < end; length++) {
    out[message + length] = bytes[at + length]!;
  }
  if (!wrongVersion) {
    putStartOfAuthority(out, message + length);
    length += SOA.size;
  }
  if (question.hasEdns) {
    putEdns(out, message + length, wrongVersion ? BAD_VERSION : 0, question.ednsFlags & DNSSEC_OK);
    length += OPT.size;
  }
  if (!overTcp) return length;
  put16(out, to, length);
  return TCP_LENGTH + length;
}

function putStartOfAuthority(out: Uint8Array, at: number): void {
  out.fill(0, at, at + SOA.size);
  put16(out, at + SOA.type, RECORD_SOA);
  put16(out, at + SOA.class, CLASS_IN);
  put16(out, at + SOA.length, SOA.data);
}

/** An OPT record of version 0 without options. DO is copied (RFC 4035 3.2.1). */
function putEdns(out: Uint8Array, at: number, extendedRcode: number, flags: number): void {
  out[at] = 0;
  put16(out, at + OPT.type, RECORD_OPT);
  put16(out, at + OPT.payloadSize, PAYLOAD_SIZE);
  out[at + OPT.extendedRcode] = extendedRcode;
  out[at + OPT.version] = 0;
  put16(out, at + OPT.flags, flags);
  put16(out, at + OPT.length, 0);
}
