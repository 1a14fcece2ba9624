/**
 * Responses of a DNS server: which addresses the name of the question has, by the records of the answer section alone. The
 * name is followed through aliases (CNAME, RFC 1034 3.6.2; DNAME, RFC 6672), whose records may come in any order; of the
 * name at the end, the addresses of the type that was asked for count. Other records and sections are not looked at.
 *
 * Whether a response belongs to a question is not known here: compare its id, and its question byte for byte.
 */
import { get16, get32 } from "./bytes.ts";
import {
  CLASS_IN,
  DNS_ADDRESS,
  DNS_ALIASES,
  DNS_CLASS,
  DNS_COUNTS,
  DNS_DIRECTION,
  DNS_FIELDS,
  DNS_HEADER,
  DNS_NAME,
  DNS_OPCODE,
  DNS_OPCODE_BITS,
  DNS_RCODE_BITS,
  DNS_RESPONSE,
  DNS_SHORT,
  DNS_SOUND,
  DNS_TRUNCATED,
  RECORD_A,
  RECORD_AAAA,
  RECORD_CNAME,
  RECORD_DNAME,
} from "./dns-header.ts";
import { behindName, DnsName, NO_NAME } from "./dns-name.ts";

/** How many addresses of one response are kept: the first ones. */
export const MOST_ADDRESSES = 64;
/** How many aliases are followed, one behind the other. */
export const MOST_ALIASES = 8;
/** How many records of the answer section are looked at: the first ones. */
export const MOST_RECORDS = 128;

/** The longest TTL, in seconds (RFC 2181 8). */
export const LONGEST_TTL = 0x7fffffff;

/** Fields of a record, from the end of its owner's name; `data` is the first byte of RDATA. */
const RECORD = { type: 0, class: 2, ttl: 4, length: 8, data: 10 } as const;

/** What `#findAlias` returns besides the number of a record. */
const NONE = -1;
const MALFORMED = -2;

/** A response. Reused for every message: `read` sets all fields. */
export class DnsResponse {
  id = 0;
  isTruncated = false;
  rcode = 0;
  type = 0;
  class = 0;
  /** Bytes of the question, which follow the header; 0 if there is no whole one. */
  questionLength = 0;
  /** The name of the question, and then the one at the end of its aliases, as far as they were followed. */
  readonly name = new DnsName();
  /** How many aliases were followed. */
  aliasCount = 0;
  /** The smallest TTL of the aliases in seconds; LONGEST_TTL if there is none. */
  aliasTtl = LONGEST_TTL;
  /** How many addresses there are in `addresses` (type A) or `addresses6` (AAAA), of MOST_ADDRESSES at most. */
  addressCount = 0;
  /** IPv4 addresses, as unsigned numbers in host order. */
  readonly addresses = new Uint32Array(MOST_ADDRESSES);
  /** IPv6 addresses, four words each (ipv6-words.ts). */
  readonly addresses6 = new Int32Array(4 * MOST_ADDRESSES);
  /** For each address: seconds for which the name has it, the smaller one of its own TTL and `aliasTtl`. */
  readonly ttls = new Uint32Array(MOST_ADDRESSES);

  readonly #owner = new DnsName();
  readonly #target = new DnsName();
  /** Where the records begin, and where their fields do, as positions in the bytes. */
  readonly #owners = new Int32Array(MOST_RECORDS);
  readonly #records = new Int32Array(MOST_RECORDS);
  #recordCount = 0;

  /**
   * Reads the message of `length` bytes at `at`. Returns DNS_SOUND or the first thing that does not hold; the fields before
   * that are right, and there are no addresses then. Of a truncated message the addresses that are there count.
   */
  read(bytes: Uint8Array, at: number, length: number): number {
    this.#clear();
    const end = at + length;
    const fault = this.#readQuestion(bytes, at, end);
    if (fault !== DNS_SOUND || (this.type !== RECORD_A && this.type !== RECORD_AAAA)) return fault;
    const read = this.#readAnswers(bytes, at, end);
    if (read !== DNS_SOUND) this.addressCount = 0;
    return read;
  }

  #readQuestion(bytes: Uint8Array, at: number, end: number): number {
    if (at + DNS_HEADER > end) return DNS_SHORT;
    const flags = get16(bytes, at + DNS_FIELDS.flags);
    this.id = get16(bytes, at + DNS_FIELDS.id);
    this.isTruncated = (flags & DNS_TRUNCATED) !== 0;
    this.rcode = flags & DNS_RCODE_BITS;
    if ((flags & DNS_RESPONSE) === 0) return DNS_DIRECTION;
    if ((flags & DNS_OPCODE_BITS) !== 0) return DNS_OPCODE;
    if (get16(bytes, at + DNS_FIELDS.questions) !== 1) return DNS_COUNTS;
    const behind = this.name.read(bytes, at, end, at + DNS_HEADER);
    if (behind === NO_NAME) return DNS_NAME;
    if (behind + 4 > end) return DNS_SHORT;
    this.type = get16(bytes, behind);
    this.class = get16(bytes, behind + 2);
    this.questionLength = behind + 4 - at - DNS_HEADER;
    return this.class === CLASS_IN ? DNS_SOUND : DNS_CLASS;
  }

  #readAnswers(bytes: Uint8Array, at: number, end: number): number {
    const found = this.#findRecords(bytes, at, end);
    if (found !== DNS_SOUND) return found;
    for (;;) {
      const alias = this.#findAlias(bytes, at, end);
      if (alias === NONE) return this.#readAddresses(bytes, at, end);
      const fault = alias === MALFORMED ? DNS_NAME : this.#follow(bytes, at, this.#records[alias]!);
      if (fault !== DNS_SOUND) return fault;
    }
  }

  /** Notes where the records are. Afterwards it is known that each lies within the message. */
  #findRecords(bytes: Uint8Array, at: number, end: number): number {
    const count = Math.min(get16(bytes, at + DNS_FIELDS.answers), MOST_RECORDS);
    let next = at + DNS_HEADER + this.questionLength;
    while (this.#recordCount < count) {
      const fields = behindName(bytes, end, next);
      if (fields === NO_NAME) return DNS_NAME;
      if (fields + RECORD.data > end) return DNS_SHORT;
      this.#owners[this.#recordCount] = next;
      this.#records[this.#recordCount++] = fields;
      next = fields + RECORD.data + get16(bytes, fields + RECORD.length);
      if (next > end) return DNS_SHORT;
    }
    return DNS_SOUND;
  }

  /**
   * The record that says what `name` is an alias of, whose owner is `#owner` then. A CNAME comes before a DNAME, for which
   * servers add one (RFC 6672 3.1).
   */
  #findAlias(bytes: Uint8Array, at: number, end: number): number {
    let found = NONE;
    for (let index = 0; index < this.#recordCount; index++) {
      const fields = this.#records[index]!;
      const type = get16(bytes, fields + RECORD.type);
      if ((type !== RECORD_CNAME && type !== RECORD_DNAME) || get16(bytes, fields + RECORD.class) !== CLASS_IN)
        continue;
      if (this.#owner.read(bytes, at, end, this.#owners[index]!) === NO_NAME) return MALFORMED;
      if (type === RECORD_CNAME && this.#owner.equals(this.name)) return index;
      if (type === RECORD_DNAME && found === NONE && this.name.isBelow(this.#owner)) found = index;
    }
    if (found !== NONE) this.#owner.read(bytes, at, end, this.#owners[found]!);
    return found;
  }

  /** Puts the name that an alias points to in place of the record's owner at the end of `name`. */
  #follow(bytes: Uint8Array, at: number, fields: number): number {
    if (this.aliasCount === MOST_ALIASES) return DNS_ALIASES;
    const data = fields + RECORD.data;
    const end = data + get16(bytes, fields + RECORD.length);
    if (this.#target.read(bytes, at, end, data) !== end) return DNS_NAME;
    // The whole name has a CNAME's owner, and a part of it a DNAME's.
    if (!this.name.replaceEnd(this.#owner.length, this.#target)) return DNS_ALIASES;
    this.aliasCount++;
    this.aliasTtl = Math.min(this.aliasTtl, ttlOf(bytes, fields));
    return DNS_SOUND;
  }

  #readAddresses(bytes: Uint8Array, at: number, end: number): number {
    const size = this.type === RECORD_A ? 4 : 16;
    for (let index = 0; index < this.#recordCount && this.addressCount < MOST_ADDRESSES; index++) {
      const fields = this.#records[index]!;
      if (get16(bytes, fields + RECORD.type) !== this.type || get16(bytes, fields + RECORD.class) !== CLASS_IN)
        continue;
      if (this.#owner.read(bytes, at, end, this.#owners[index]!) === NO_NAME) return DNS_NAME;
      if (!this.#owner.equals(this.name)) continue;
      if (get16(bytes, fields + RECORD.length) !== size) return DNS_ADDRESS;
      this.#addAddress(bytes, fields);
    }
    return DNS_SOUND;
  }

  #addAddress(bytes: Uint8Array, fields: number): void {
    const index = this.addressCount++;
    const data = fields + RECORD.data;
    this.ttls[index] = Math.min(this.aliasTtl, ttlOf(bytes, fields));
    if (this.type === RECORD_A) this.addresses[index] = get32(bytes, data);
    else for (let word = 0; word < 4; word++) this.addresses6[4 * index + word] = get32(bytes, data + 4 * word);
  }

  #clear(): void {
    this.id = 0;
    this.isTruncated = false;
    this.rcode = 0;
    this.type = 0;
    this.class = 0;
    this.questionLength = 0;
    this.name.length = 0;
    this.aliasCount = 0;
    this.aliasTtl = LONGEST_TTL;
    this.addressCount = 0;
    this.#recordCount = 0;
  }
}

/** A TTL with the first bit set is 0 (RFC 2181 8). */
function ttlOf(bytes: Uint8Array, fields: number): number {
  const ttl = get32(bytes, fields + RECORD.ttl);
  return ttl > LONGEST_TTL ? 0 : ttl;
}
