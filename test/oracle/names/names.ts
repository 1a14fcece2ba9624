/** What the second guard remembers of names for both families, and what it says about questions and answers. */

import { PASS, uint16 } from "../bytes.ts";
import type { Flow } from "../flows.ts";
import { UDP } from "../ipv4.ts";
import { Bucket, type State } from "../state.ts";
import { type DnsQuestion, ownAnswer, readAnswer, readQuestion } from "./dns.ts";
import type { Address, FamilyNames } from "./family.ts";
import { Pairs } from "./pairs.ts";
import { askLookup, askName, type Name, type NameRule } from "./rules.ts";

const SECOND = 1_000_000;
const TYPES_CLOSED = [10, 251, 252, 255];
const AAAA = 28;

interface Outstanding {
  readonly key: string;
  readonly question: DnsQuestion;
  readonly time: number;
}

export class Names {
  rules: readonly NameRule[] = [];
  readonly state: State;
  readonly pairs: Pairs;
  /** IPv4, and IPv6 where that is on. */
  readonly families: FamilyNames[] = [];
  #questions = new Bucket(20, 100);
  #newNames = new Bucket(1, 500);
  #outstanding: Outstanding[] = [];
  /** Softnet's answer to the packet that was judged last. */
  own: { readonly question: DnsQuestion; readonly reason: string } | undefined;
  /** Where softnet's answer by TCP stands in the connection. */
  ownSegment: { readonly sequence: number; readonly acknowledgement: number } | undefined;
  /** Whether an address may be pinned. */
  mayPin: (address: Address) => boolean = () => false;

  constructor(state: State) {
    this.state = state;
    const isThere = (flow: Flow<Address>) => this.families.some((family) => family.isThere(flow));
    this.pairs = new Pairs(isThere, (address) => this.mayPin(address));
  }

  get active(): boolean {
    return this.rules.length > 0;
  }

  get closed(): boolean {
    return this.state.rules.some(
      ({ action, way, target, ports }) =>
        action === "block" &&
        way !== "in" &&
        ports === undefined &&
        (target === "@global" || (typeof target !== "string" && target.length === 0)),
    );
  }

  advance(): void {
    const { now } = this.state;
    this.own = undefined;
    this.ownSegment = undefined;
    this.pairs.advance(now);
    for (const family of this.families) family.advance();
    this.#outstanding = this.#outstanding.filter((one) => now - one.time <= 10 * SECOND);
  }

  /** Other rules; without names nothing is inspected or broken off any more. */
  setRules(rules: readonly NameRule[]): void {
    this.rules = rules;
    if (!this.active) for (const family of this.families) family.endInspections();
  }

  allows(name: Name, protocol: number, port: number): boolean {
    if (protocol === UDP && port === 443) return false;
    return askName(this.rules, name, protocol, port) === "allowed";
  }

  /** Checks 2 to 6 of a question. */
  question(message: Uint8Array, where: string): string {
    const question = readQuestion(message);
    if (question === undefined) return "dns.format";
    const { now } = this.state;
    if (!this.#questions.take(now)) return "dns.budget";
    const { said, exact } = askLookup(this.rules, question.name);
    const { closed } = this;
    const deny = (reason: string) => {
      this.own = { question, reason };
      return reason;
    };
    if (closed ? said !== "allowed" : said === "blocked") return deny("dns.denied");
    const { type } = question;
    if ([64, 65].includes(type) || (type === AAAA && this.state.ipv6 === undefined)) return deny("dns.type");
    if (closed && (TYPES_CLOSED.includes(type) || (type >= 256 && type !== 257))) return deny("dns.type");
    if (closed && !exact && !this.pairs.knows(question.name) && !this.#newNames.take(now)) return "dns.budget";
    const key = `${where} ${question.id} ${question.section}`;
    this.#outstanding = this.#outstanding.filter((one) => one.key !== key);
    this.#outstanding.push({ key, question, time: now });
    if (this.#outstanding.length > 256) this.#outstanding.shift();
    return PASS;
  }

  /** Checks 3 and 4 of an answer. */
  answer(message: Uint8Array, where: string): string {
    if (message.length < 12) return "dns.format";
    const flags = uint16(message, 2);
    if (flags < 0x8000 || (flags & 0x7800) !== 0 || uint16(message, 4) !== 1) return "dns.answer";
    const asked = this.#outstanding.find(
      ({ key, question: { section } }) =>
        key === `${where} ${uint16(message, 0)} ${message.slice(12, 12 + section.length)}`,
    );
    if (asked === undefined) return "dns.answer";
    const { question } = asked;
    if (flags % 16 === 0 && [1, AAAA].includes(question.type)) {
      const learned = readAnswer(message, question);
      if (learned === undefined) return "dns.format";
      const allowed = askLookup(this.rules, question.name).said === "allowed";
      this.pairs.learn(question.name, learned, this.state.now, allowed);
    }
    this.#outstanding = this.#outstanding.filter((one) => one !== asked);
    return PASS;
  }

  ownMessage(): Uint8Array | undefined {
    return this.own && ownAnswer(this.own.question, this.own.reason);
  }
}
