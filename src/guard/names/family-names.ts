/** What names say of packets of one address family: who may be opened by which pair, and what DNS messages are judged by. */
import { NAME_ALLOWED, NAME_BLOCKED, type NameTable } from "../../policy/name-table.ts";
import type { Rule } from "../../policy/rule.ts";
import { OUT, type Way } from "../../policy/rule-tree.ts";
import { isQuic, isWeb } from "../../policy/web-ports.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../../wire/ipv4.ts";
import { UDP_HEADER } from "../../wire/udp.ts";
import { COMPLETE, segmentSizeOf } from "../../wire/virtio-net.ts";
import { PASS, verdictOf } from "../reasons.ts";
import type { NameFamily } from "./name-family.ts";
import type { NameGuard } from "./name-guard.ts";
import type { NameJudge } from "./name-judge.ts";
import { type Exchange, makeExchange } from "./outstanding.ts";
import type { Pair } from "./pairs.ts";
import { refusalOf } from "./refusals.ts";

const BLOCK = verdictOf("policy.block");
const FORMAT = verdictOf("dns.format");
const FRAGMENT = verdictOf("dns.fragment");
const CHECKSUM = verdictOf("dns.checksum");

export class FamilyNames implements NameJudge {
  readonly #guard: NameGuard;
  readonly #family: NameFamily;
  /** The guard's, in microseconds, in place 0. */
  readonly #clock: Float64Array;
  readonly #exchange = makeExchange();
  /** The pair by which `reconsider` let its packet pass. */
  opener: Pair | undefined;

  constructor(guard: NameGuard, family: NameFamily, clock: Float64Array) {
    this.#guard = guard;
    this.#family = family;
    this.#clock = clock;
  }

  /** There is one while names are in force. */
  get #table(): NameTable {
    return this.#guard.table!;
  }

  /**
   * What names say where rules drop a packet of the VM's with `verdict`, which is of no connection that was there. `opens`: it
   * is whole, and would open a flow.
   */
  reconsider(remote: number, protocol: number, port: number, verdict: number, opens: boolean): number {
    this.opener = opens ? this.openerOf(remote, protocol, port, verdict) : undefined;
    if (this.opener !== undefined) return PASS;
    if (!this.#table.closesInternet) return verdict;
    const isRebound = this.#guard.gate.unpinned.has(this.#family.addressOf(remote), this.#clock[0]!);
    return refusalOf(verdict, protocol, port, isRebound, this.#table);
  }

  /** The pair by which the VM may open a flow about which the rules say `verdict`. */
  openerOf(remote: number, protocol: number, port: number, verdict: number): Pair | undefined {
    if (verdict !== BLOCK || isQuic(protocol, port) || this.#family.outranksNames(remote, port)) return undefined;
    const { pairs } = this.#guard;
    const same = pairs.at(this.#family.addressOf(remote));
    if (same === undefined) return undefined;
    const now = this.#clock[0]!;
    let oldest: Pair | undefined;
    for (const pair of same) {
      if (oldest !== undefined && pair.answer > oldest.answer) continue;
      if (!pairs.isAlive(pair, isWeb(protocol, port), now)) continue;
      const { labels } = pair.name;
      if (this.#table.ask(labels, labels.length, protocol, port) === NAME_ALLOWED) oldest = pair;
    }
    // The table's last word, which is counted, is to be the one about it.
    if (oldest !== undefined) this.#table.ask(oldest.name.labels, oldest.name.labels.length, protocol, port);
    return oldest;
  }

  /** The same for people: a connection of the VM's that the rules drop with `verdict`. The pair, or else the verdict. */
  explain(remote: number, protocol: number, port: number, verdict: number): Pair | number {
    const said = this.reconsider(remote, protocol, port, verdict, true);
    const { opener } = this;
    this.opener = undefined;
    return opener ?? said;
  }

  /** The allow rule by which a pair opens. */
  ruleOf({ name: { labels } }: Pair, protocol: number, port: number): Rule | undefined {
    this.#table.ask(labels, labels.length, protocol, port);
    return this.#table.decidingRule;
  }

  /** Judges a datagram between the VM and a DNS server. */
  judgeDatagram(way: Way, view: FrameView, remote: number): number {
    if (view.fragmentBits !== 0) return FRAGMENT;
    if (view.udpLength !== view.transportLength) return FORMAT;
    // It is cut behind us, and what would be judged as one message leaves as several.
    if (segmentSizeOf(view.offload) !== 0) return FORMAT;
    const { bytes } = view;
    const at = view.transport + UDP_HEADER;
    const length = view.udpLength - UDP_HEADER;
    if (way === OUT) return this.#judgeQuestion(bytes, at, length, remote, PROTOCOL_UDP, view.sourcePort);
    if (view.offload === COMPLETE && !view.udpChecksumIsRight) return CHECKSUM;
    return this.#judgeAnswer(bytes, at, length, remote, PROTOCOL_UDP, view.destinationPort);
  }

  /** Counts the rule by which the table has just decided about a name. */
  countDecision(): void {
    this.#guard.hits.count(this.#table.decidingIndex + 1, this.#clock);
  }

  /* What inspections ask. */

  ask(labels: Uint8Array, length: number, port: number): number {
    const said = this.#table.ask(labels, length, PROTOCOL_TCP, port);
    // Where it is allowed, the rule was counted when the connection was opened.
    if (said === NAME_BLOCKED) this.countDecision();
    return said;
  }

  hasPair(labels: Uint8Array, length: number, remote: number, port: number): boolean {
    const { pairs } = this.#guard;
    const pair = pairs.named(labels, length)?.pairs.get(this.#family.addressOf(remote));
    return pair !== undefined && pairs.isAlive(pair, isWeb(PROTOCOL_TCP, port), this.#clock[0]!);
  }

  judgeQuestion(bytes: Uint8Array, at: number, length: number, remote: number, port: number): number {
    return this.#judgeQuestion(bytes, at, length, remote, PROTOCOL_TCP, port);
  }

  judgeAnswer(bytes: Uint8Array, at: number, length: number, remote: number, port: number): number {
    return this.#judgeAnswer(bytes, at, length, remote, PROTOCOL_TCP, port);
  }

  putAnswer(bytes: Uint8Array, at: number, length: number, verdict: number, out: Uint8Array, to: number): number {
    return this.#guard.gate.putAnswer(bytes, at, length, verdict, out, to);
  }

  tellConnection(remote: number, port: number, labels: Uint8Array, length: number, verdict: number): void {
    this.#guard.counts.connection(this.#family.addressOf(remote), port, labels, length, verdict);
  }

  /** With the option `learn`: the VM has opened a flow. */
  tellOpened({ protocol, destinationPort: port }: FrameView, remote: number): void {
    const address = this.#family.addressOf(remote);
    const names = [...(this.#guard.pairs.at(address) ?? [])].map(({ name }) => name.text);
    this.#guard.counts.opened(address, protocol, Math.max(0, port), names);
  }

  #judgeQuestion(
    bytes: Uint8Array,
    at: number,
    length: number,
    remote: number,
    protocol: number,
    port: number,
  ): number {
    const exchange = this.#exchangeOf(remote, protocol, port);
    return this.#guard.gate.judgeQuestion(this.#table, bytes, at, length, exchange, this.#clock[0]!);
  }

  #judgeAnswer(bytes: Uint8Array, at: number, length: number, remote: number, protocol: number, port: number): number {
    const exchange = this.#exchangeOf(remote, protocol, port);
    return this.#guard.gate.judgeAnswer(this.#table, bytes, at, length, exchange, this.#clock[0]!);
  }

  #exchangeOf(remote: number, protocol: number, port: number): Exchange {
    const exchange = this.#exchange;
    exchange.server = this.#family.addressOf(remote);
    exchange.protocol = protocol;
    exchange.port = port;
    return exchange;
  }
}
