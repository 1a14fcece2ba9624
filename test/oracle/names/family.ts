/** What the second guard remembers of names for one family, and what it says about openings and first bytes there. */

import { PASS, uint16 } from "../bytes.ts";
import { type Flow, isBareSyn, isClosed } from "../flows.ts";
import { TCP, UDP } from "../ipv4.ts";
import type { OracleRule, Way } from "../rules.ts";
import { Inspection } from "./inspection.ts";
import type { Names } from "./names.ts";
import type { Pair } from "./pairs.ts";
import { askName, hasPort, keyOf, type Name } from "./rules.ts";

const SECOND = 1_000_000;

export type Address = number | bigint;

/** What names need to know of a packet of either family. */
export interface NamePacket {
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly first: boolean;
  readonly fragment: boolean;
  /** It is cut when it leaves. */
  readonly segmented: boolean;
  readonly source: Address;
  readonly destination: Address;
}

/** What differs between the families. */
export interface Family {
  /** Bits of an address. */
  readonly bits: number;
  readonly flows: {
    get(key: string): Flow<Address> | undefined;
    setCut(flow: Flow<Address>, cut: boolean): void;
  };
  keyOf(way: Way, packet: NamePacket): string | undefined;
  isDnsServer(address: Address): boolean;
  /** The rule that decides about the same packet to the IPv4 address that this one embeds. */
  embeddedRule?(address: Address, protocol: number, port: number): OracleRule | undefined;
  /** The sum over pseudo-header and payload: 0xffff where the checksum is right. */
  sum(packet: NamePacket): number;
}

export class FamilyNames {
  readonly names: Names;
  readonly #family: Family;
  readonly inspections = new Map<Flow<Address>, Inspection>();
  readonly broken = new Set<Flow<Address>>();
  /** By which pair the packet that is judged would open its flow. */
  #by: Pair | undefined;
  /** The reset for the remote side, of flows that were broken off. */
  readonly resets: { flow: Flow<Address>; sequence: number }[] = [];
  /** Flows that were broken off by what the VM did not send. */
  readonly vmResets = new Set<Flow<Address>>();
  readonly #said = new Map<Flow<Address>, Name>();

  constructor(names: Names, family: Family) {
    this.names = names;
    this.#family = family;
    names.families.push(this);
  }

  get now(): number {
    return this.names.state.now;
  }

  isThere(flow: Flow<Address>): boolean {
    return this.#family.flows.get(flow.key) === flow;
  }

  sum(packet: NamePacket): number {
    return this.#family.sum(packet);
  }

  advance(): void {
    this.#by = undefined;
    for (const flow of this.inspections.keys()) if (!this.isThere(flow)) this.inspections.delete(flow);
    for (const flow of this.broken) if (!this.isThere(flow)) this.broken.delete(flow);
  }

  /** Rules without names are in force. */
  endInspections(): void {
    const { openedBy } = this.names.pairs;
    for (const flow of openedBy.keys())
      if (this.isThere(flow) && this.#saidBy(flow) === undefined) openedBy.delete(flow);
    for (const [flow, { said }] of this.inspections) if (said !== undefined) this.#said.set(flow, said);
    this.inspections.clear();
    this.broken.clear();
  }

  // Openings

  /** What becomes of what the rules say about a packet that would open a flow. */
  opening(way: Way, packet: NamePacket, verdict: string, rule: OracleRule | undefined): string {
    if (way !== "out") return verdict;
    const { protocol, destination, payload, first } = packet;
    const ports = (protocol === TCP || protocol === UDP) && first;
    const port = ports ? uint16(payload, 2) : 0;
    const opens = isBareSyn(packet) || protocol === UDP;
    if (
      verdict === "policy.block" &&
      opens &&
      ports &&
      !packet.fragment &&
      !this.#outranks(rule, destination, protocol, port)
    ) {
      this.#by = this.#pairFor(destination, protocol, port);
      if (this.#by !== undefined) return PASS;
    }
    if (!this.names.closed || (protocol === TCP && !isBareSyn(packet))) return verdict;
    const changed = ["policy.block", "policy.destination", "policy.gateway"].includes(verdict);
    if (!changed && verdict !== "policy.metadata") return verdict;
    const rebinding = this.names.pairs.isRebinding(destination, this.now);
    if (!changed) return rebinding ? "name.rebind" : verdict;
    if (ports && ([53, 853, 5353, 5355].includes(port) || (protocol === UDP && port === 137))) return "name.resolver";
    if (rebinding) return "name.rebind";
    if (ports && protocol === UDP && port === 443) return "name.quic";
    const named = this.names.rules.some((one) => one.action === "allow" && hasPort(one, protocol, port));
    return ports && named ? "name.unpinned" : verdict;
  }

  /** A rule with a port decides, and ranks as one host. */
  #outranks(rule: OracleRule | undefined, remote: Address, protocol: number, port: number): boolean {
    const embedded = this.#family.embeddedRule?.(remote, protocol, port);
    return this.#blocksHost(rule, this.#family.bits) || this.#blocksHost(embedded, 32);
  }

  #blocksHost(rule: OracleRule | undefined, bits: number): boolean {
    if (rule?.ports === undefined || rule.action !== "block") return false;
    const { target } = rule;
    if (typeof target === "string") return target !== "@private" && target !== "@global";
    return target.length === bits;
  }

  #pairFor(address: Address, protocol: number, port: number): Pair | undefined {
    const verified = protocol === TCP && (port === 80 || port === 443);
    return this.names.pairs.list.find(
      (pair) =>
        pair.address === address &&
        this.names.pairs.alive(pair, verified, this.now) &&
        this.names.allows(pair.name, protocol, port),
    );
  }

  /** Whether a name read in first bytes is allowed, and this address is the name's. */
  confirms(name: Name, flow: Flow<Address>): boolean {
    if (!this.names.allows(name, TCP, flow.remotePort)) return false;
    const own = this.names.pairs.openedBy.get(flow);
    const verified = flow.remotePort === 80 || flow.remotePort === 443;
    return this.names.pairs.list.some(
      (pair) =>
        pair.address === flow.remote &&
        keyOf(pair.name) === keyOf(name) &&
        (pair === own || this.names.pairs.alive(pair, verified, this.now)),
    );
  }

  blocks(name: Name, port: number): boolean {
    return askName(this.names.rules, name, TCP, port) === "blocked";
  }

  /** Whether a flow that the rules would not let pass goes on by its name. */
  keeps(flow: Flow<Address>, rule: OracleRule | undefined): boolean {
    if (this.#outranks(rule, flow.remote, flow.protocol, flow.remotePort)) return false;
    const own = this.names.pairs.openedBy.get(flow);
    if (own === undefined) return false;
    const said = this.#saidBy(flow);
    if (said !== undefined) return this.names.allows(said, flow.protocol, flow.remotePort);
    const verified = flow.protocol === TCP && (flow.remotePort === 80 || flow.remotePort === 443);
    return this.names.pairs.list.some(
      (pair) =>
        pair.address === flow.remote &&
        (pair === own || this.names.pairs.alive(pair, verified, this.now)) &&
        this.names.allows(pair.name, flow.protocol, flow.remotePort),
    );
  }

  #saidBy(flow: Flow<Address>): Name | undefined {
    return this.inspections.get(flow)?.said ?? this.#said.get(flow);
  }

  // Packets that everything else lets pass

  /** The last checks of a packet; `commit` opens or keeps its flow. */
  last(way: Way, packet: NamePacket, commit: (() => void) | undefined): { reason: string; commit?: () => void } {
    const pass = { reason: PASS, ...(commit && { commit }) };
    const { protocol, payload, first } = packet;
    if (!first || (protocol !== TCP && protocol !== UDP)) return pass;
    const remote = way === "out" ? packet.destination : packet.source;
    const port = uint16(payload, way === "out" ? 2 : 0);
    const dns = port === 53 && this.#family.isDnsServer(remote);
    if (protocol === UDP) {
      if (dns) {
        const reason = this.#datagram(way, packet);
        if (reason !== PASS) return { reason };
      }
      const by = this.#by;
      return { reason: PASS, commit: () => this.#opened(way, packet, commit, by) };
    }
    return this.#segment(way, packet, dns, commit);
  }

  #opened(way: Way, packet: NamePacket, commit: (() => void) | undefined, by: Pair | undefined): void {
    commit?.();
    const flow = this.flowOf(way, packet);
    if (flow !== undefined && by !== undefined) this.names.pairs.openedBy.set(flow, by);
  }

  flowOf(way: Way, packet: NamePacket): Flow<Address> | undefined {
    const key = this.#family.keyOf(way, packet);
    return key === undefined ? undefined : this.#family.flows.get(key);
  }

  #datagram(way: Way, packet: NamePacket): string {
    if (packet.fragment) return "dns.fragment";
    const { payload } = packet;
    if (uint16(payload, 4) !== payload.length || packet.segmented) return "dns.format";
    const message = payload.slice(8);
    if (way === "out") return this.names.question(message, `udp ${packet.destination} ${uint16(payload, 0)}`);
    const none = uint16(payload, 6) === 0;
    if (none ? this.#family.bits === 128 : this.sum(packet) !== 0xffff) return "dns.checksum";
    return this.names.answer(message, `udp ${packet.source} ${uint16(payload, 2)}`);
  }

  // Segments

  /** Whether a bare SYN opens a live flow anew. */
  beginsAnew(way: Way, packet: NamePacket, flow: Flow<Address>): boolean {
    if (!this.names.active || way !== "out" || !isBareSyn(packet)) return false;
    if (this.inspections.has(flow) || this.broken.has(flow)) return false;
    if (this.names.pairs.openedBy.has(flow) || flow.way === "in") return true;
    const watches = this.names.rules.some((rule) => rule.action === "block");
    return watches && [80, 443].includes(uint16(packet.payload, 2));
  }

  #segment(way: Way, packet: NamePacket, dns: boolean, commit: (() => void) | undefined) {
    const pass = { reason: PASS, ...(commit && { commit }) };
    const flow = this.flowOf(way, packet);
    // From the network, too: then it belongs to none that is inspected.
    const anew = flow === undefined || flow.cut || isClosed(flow) || this.beginsAnew(way, packet, flow);
    const opens = isBareSyn(packet) && anew;
    if (opens && way === "out") return this.#openSegment(packet, dns, commit);
    const inspection = opens ? undefined : flow && this.inspections.get(flow);
    if (inspection !== undefined) {
      const reason = inspection.check(way, packet, () => commit?.());
      if (reason === PASS && inspection.over) {
        if (inspection.said !== undefined) this.#said.set(flow!, inspection.said);
        this.inspections.delete(flow!);
      }
      return { reason };
    }
    if (dns) {
      const { payload } = packet;
      const data = payload.length > Math.floor(payload[12]! / 16) * 4 || payload[13]! % 2 === 1;
      return { reason: way === "out" && data && !isBareSyn(packet) ? "flow.unknown" : "name.segment" };
    }
    return pass;
  }

  #openSegment(packet: NamePacket, dns: boolean, commit: (() => void) | undefined) {
    const by = this.#by;
    const port = uint16(packet.payload, 2);
    const verified = port === 80 || port === 443;
    const watched = by === undefined && verified && this.names.rules.some((rule) => rule.action === "block");
    const kind = dns ? "dns" : by !== undefined ? (verified ? "strict" : "lenient") : watched ? "watched" : undefined;
    if (kind === undefined) return { reason: PASS, ...(commit && { commit }) };
    const inspection = new Inspection(this, kind, packet);
    const reason = inspection.checkSyn(packet);
    if (reason !== PASS) return { reason };
    if (this.inspections.size >= 256) {
      const idle = [...this.inspections.entries()]
        .filter(([, one]) => one.verdict === undefined || one.awaits)
        .sort(([, a], [, b]) => a.lastByte - b.lastByte)[0];
      if (idle === undefined || this.now - idle[1].lastByte <= 5 * SECOND) {
        if (kind !== "watched") return { reason: "name.full" };
        return { reason: PASS, ...(commit && { commit }) };
      }
      this.breakOff(idle[0], true);
    }
    return {
      reason: PASS,
      commit: () => {
        this.#opened("out", packet, commit, by);
        const flow = this.flowOf("out", packet);
        if (flow === undefined) return;
        inspection.flow = flow;
        this.inspections.set(flow, inspection);
      },
    };
  }

  /** `tellVm`: what the VM has sent last is not answered. */
  breakOff(flow: Flow<Address>, tellVm: boolean): void {
    if (tellVm && !flow.cut) this.vmResets.add(flow);
    this.#family.flows.setCut(flow, true);
    this.broken.add(flow);
    this.resets.push({ flow, sequence: this.inspections.get(flow)?.nextToRemote ?? 0 });
    const said = this.inspections.get(flow)?.said;
    if (said !== undefined) this.#said.set(flow, said);
    this.inspections.delete(flow);
  }
}
