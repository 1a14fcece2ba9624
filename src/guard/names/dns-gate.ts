/**
 * Which questions go to a DNS server, and which answers come back and teach (docs/guard-names.md, Questions by UDP, Answers by
 * UDP). A message by itself; in which packets it comes is name-flows.ts and dns-stream.ts.
 */
import { NAME_ALLOWED, NAME_BLOCKED, NAME_UNSAID, type NameTable } from "../../policy/name-table.ts";
import {
  DNS_HEADER,
  DNS_SOUND,
  RCODE_NAME_ERROR,
  RCODE_NO_ERROR,
  RECORD_A,
  RECORD_AAAA,
} from "../../wire/dns-header.ts";
import { DnsQuestion, putDnsAnswer } from "../../wire/dns-message.ts";
import { DnsResponse } from "../../wire/dns-response.ts";
import { addressOfWords } from "../../wire/ipv6-address.ts";
import { decisionOf, QUERY_DECISIONS } from "../dns-decisions.ts";
import { PASS, verdictOf } from "../reasons.ts";
import type { RuleHits } from "../rule-hits.ts";
import { TokenBucket } from "../token-bucket.ts";
import type { NameCounts } from "./name-counts.ts";
import { type Exchange, Outstanding } from "./outstanding.ts";
import type { Address, Pairs } from "./pairs.ts";
import { RecentAddresses } from "./recent-addresses.ts";

const FORMAT = verdictOf("dns.format");
const BUDGET = verdictOf("dns.budget");
const DENIED = verdictOf("dns.denied");
const TYPE = verdictOf("dns.type");
const ANSWER = verdictOf("dns.answer");

const QUESTIONS_PER_SECOND = 20;
const QUESTION_BURST = 100;
const NEW_NAMES_PER_SECOND = 1;
const NEW_NAME_BURST = 500;

/** Types with an answer of softnet's own: RFC 9460 (SVCB, HTTPS), and what no program needs to reach a host. */
const RECORD_NULL = 10;
const RECORD_SVCB = 64;
const RECORD_HTTPS = 65;
const RECORD_IXFR = 251;
const RECORD_AXFR = 252;
const RECORD_ANY = 255;
const RECORD_CAA = 257;
const FIRST_UNUSUAL = 256;

export class DnsGate {
  readonly #ipv6: boolean;
  readonly #pairs: Pairs;
  readonly #counts: NameCounts;
  readonly #hits: RuleHits;
  readonly #isPinnable: (address: Address) => boolean;
  readonly #questions = new TokenBucket(QUESTIONS_PER_SECOND, QUESTION_BURST);
  readonly #newNames = new TokenBucket(NEW_NAMES_PER_SECOND, NEW_NAME_BURST);
  readonly #outstanding = new Outstanding();
  readonly #question = new DnsQuestion();
  readonly #response = new DnsResponse();
  /** Questions by what became of them, in the order of QUERY_DECISIONS. */
  readonly decisions = new Float64Array(QUERY_DECISIONS.length);
  /** Addresses of allowed names that no name may open. */
  readonly unpinned = new RecentAddresses();

  /** `isPinnable`: whether the default policy would let the VM reach an address as globally routable. */
  constructor(
    ipv6: boolean,
    pairs: Pairs,
    counts: NameCounts,
    hits: RuleHits,
    isPinnable: (address: Address) => boolean,
  ) {
    this.#ipv6 = ipv6;
    this.#pairs = pairs;
    this.#counts = counts;
    this.#hits = hits;
    this.#isPinnable = isPinnable;
  }

  /** Judges a question, `length` bytes at `at`, and notes it where it passes. */
  judgeQuestion(
    table: NameTable,
    bytes: Uint8Array,
    at: number,
    length: number,
    exchange: Exchange,
    now: number,
  ): number {
    const verdict = this.#judgeRead(table, bytes, at, length, now);
    this.decisions[decisionOf(verdict)]!++;
    if (verdict !== PASS) return verdict;
    const question = this.#question;
    const { name } = question;
    this.#outstanding.note(
      exchange,
      question.id,
      bytes,
      at + DNS_HEADER,
      question.questionLength,
      name.labels,
      name.length,
      now,
    );
    return PASS;
  }

  #judgeRead(table: NameTable, bytes: Uint8Array, at: number, length: number, now: number): number {
    const question = this.#question;
    if (question.read(bytes, at, length) !== DNS_SOUND) return FORMAT;
    if (!this.#questions.take(now)) return BUDGET;
    const verdict = this.#judgeName(table, now);
    this.#counts.question(question.name.labels, question.name.length, question.type, verdict);
    return verdict;
  }

  #judgeName(table: NameTable, now: number): number {
    const { name, type } = this.#question;
    const closed = table.closesInternet;
    const said = table.askLookup(name.labels, name.length);
    if (said !== NAME_UNSAID) this.#hits.countAt(table.decidingIndex + 1, now);
    const isExact = table.decidingRule?.target.name?.wildcard === false;
    if (closed ? said !== NAME_ALLOWED : said === NAME_BLOCKED) return DENIED;
    if (type === RECORD_SVCB || type === RECORD_HTTPS || (type === RECORD_AAAA && !this.#ipv6)) return TYPE;
    if (!closed) return PASS;
    if (type === RECORD_NULL || type === RECORD_IXFR || type === RECORD_AXFR || type === RECORD_ANY) return TYPE;
    if (type >= FIRST_UNUSUAL && type !== RECORD_CAA) return TYPE;
    if (isExact) return PASS;
    if (this.#pairs.has(name.labels, name.length, now)) return PASS;
    return this.#newNames.take(now) ? PASS : BUDGET;
  }

  /** Judges an answer, and learns from it where it passes. */
  judgeAnswer(
    table: NameTable,
    bytes: Uint8Array,
    at: number,
    length: number,
    exchange: Exchange,
    now: number,
  ): number {
    const response = this.#response;
    if (length < DNS_HEADER) return FORMAT;
    const fault = response.read(bytes, at, length);
    if (response.questionLength === 0) return ANSWER;
    const asked = this.#outstanding.find(exchange, response.id, bytes, at + DNS_HEADER, response.questionLength, now);
    if (asked === undefined) return ANSWER;
    if (fault !== DNS_SOUND && response.rcode === 0) return FORMAT;
    this.#outstanding.forget(asked);
    if (response.rcode !== 0 || fault !== DNS_SOUND) return PASS;
    const { labels, labelsLength } = asked;
    const isAllowed = table.askLookup(labels, labelsLength) === NAME_ALLOWED;
    for (let index = 0; index < response.addressCount; index++) {
      const address = this.#addressAt(index);
      if (this.#isPinnable(address)) {
        if (this.#pairs.learn(labels, labelsLength, address, response.ttls[index]!, now)) continue;
        this.#counts.refusedPair();
      } else if (isAllowed) {
        this.unpinned.add(address, now);
      }
    }
    if (response.addressCount > 0) this.#counts.learned(labels, labelsLength, response.addressCount);
    return PASS;
  }

  #addressAt(index: number): Address {
    const { type, addresses, addresses6 } = this.#response;
    if (type === RECORD_A) return addresses[index]!;
    const at = 4 * index;
    return addressOfWords(addresses6[at]!, addresses6[at + 1]!, addresses6[at + 2]!, addresses6[at + 3]!);
  }

  /** Writes softnet's own answer to a question that drops for `verdict` to `out` at `to`; returns its length, 0 = none. */
  putAnswer(bytes: Uint8Array, at: number, length: number, verdict: number, out: Uint8Array, to: number): number {
    if (verdict !== DENIED && verdict !== TYPE) return 0;
    const question = this.#question;
    if (question.read(bytes, at, length) !== DNS_SOUND) return 0;
    const rcode = verdict === DENIED ? RCODE_NAME_ERROR : RCODE_NO_ERROR;
    return putDnsAnswer(out, to, question, bytes, at, rcode, false);
  }
}
