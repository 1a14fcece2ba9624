/**
 * The second guard's flows and noted first fragments, in Maps with text for keys. Both count in whole seconds; what is
 * over is thrown out whenever the second changes, so that what is left is what is alive.
 */
import { uint16, uint32 } from "./bytes.ts";
import { ICMP, type Packet, TCP, UDP } from "./ipv4.ts";
import type { Way } from "./rules.ts";

const MOST_FLOWS = 32_768;
const MOST_HALF_OPEN = 256;
const MOST_FRAGMENTS = 256;

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

export interface Flow {
  readonly protocol: number;
  readonly remote: number;
  readonly remotePort: number;
  readonly vmPort: number;
  /** Of the packet that opened it. */
  readonly way: Way;
  readonly port: number | undefined;
  /** The MAC address at the other end of the packet that opened it. */
  readonly neighbour: string;
  /** The second of the last packet. */
  last: number;
  halfOpen: boolean;
  /** The other side has sent SYN and ACK. */
  answered: boolean;
  /** The last acknowledgement number that the VM sent. */
  acknowledged: number | undefined;
  /** Ended by a policy, but remembered, so that its far side cannot begin it anew. */
  cut: boolean;
}

/** Flags of a TCP segment. */
export function tcpFlags(packet: Packet) {
  const flags = packet.payload[13]!;
  const has = (bit: number) => Math.floor(flags / bit) % 2 === 1;
  return { fin: has(FIN), syn: has(SYN), rst: has(RST), ack: has(ACK) };
}

export function isBareSyn(packet: Packet): boolean {
  if (packet.protocol !== TCP || !packet.first) return false;
  const { syn, ack } = tcpFlags(packet);
  return syn && !ack;
}

/** The port that rules are asked about. */
export function portOf(packet: Packet): number | undefined {
  const ports = (packet.protocol === TCP || packet.protocol === UDP) && packet.first;
  return ports ? uint16(packet.payload, 2) : undefined;
}

/**
 * Which flow a packet belongs to, from its first 8 bytes of payload: for TCP and UDP addresses and ports, for echo the
 * identifier and who asks. Undefined for what is no flow.
 */
export function flowKey(way: Way, protocol: number, remote: number, payload: Uint8Array): string | undefined {
  if (protocol === TCP || protocol === UDP) {
    const [source, destination] = [uint16(payload, 0), uint16(payload, 2)];
    const [vmPort, remotePort] = way === "out" ? [source, destination] : [destination, source];
    return `${protocol} ${remote}:${remotePort} ${vmPort}`;
  }
  if (protocol !== ICMP) return undefined;
  const request = payload[0] === 8;
  if (!request && payload[0] !== 0) return undefined;
  const asker = request === (way === "out") ? "the VM asks" : "the remote side asks";
  return `echo ${remote} ${uint16(payload, 4)} ${asker}`;
}

/** Seconds that a flow lives without a packet. */
export function lifetime(flow: Flow): number {
  if (flow.protocol !== TCP) return 30;
  return flow.halfOpen ? 60 : 300;
}

export class Flows {
  readonly #flows = new Map<string, Flow>();

  #cut = 0;

  /** Live and cut ones. */
  get size(): number {
    return this.#flows.size;
  }

  get live(): number {
    return this.#flows.size - this.#cut;
  }

  /** Cuts a flow, or makes a cut one live again. */
  setCut(flow: Flow, cut: boolean): void {
    if (flow.cut !== cut) this.#cut += cut ? 1 : -1;
    flow.cut = cut;
  }

  /** All of them, live and cut. */
  list(): Flow[] {
    return [...this.#flows.values()];
  }

  get(key: string): Flow | undefined {
    return this.#flows.get(key);
  }

  /** Half-open flows of one remote address. */
  halfOpen(remote: number): number {
    let count = 0;
    for (const flow of this.#flows.values()) if (flow.halfOpen && flow.remote === remote) count += 1;
    return count;
  }

  /** Why a flow cannot be opened, counted without the one whose place it takes; `synTo` where a bare SYN opens it. */
  refusalWithout(gone: Flow | undefined, synTo: number | undefined): "flow.half-open" | "flow.full" | undefined {
    const freed = gone === undefined ? 0 : 1;
    if (synTo !== undefined && this.halfOpen(synTo) - (gone?.halfOpen ? freed : 0) >= MOST_HALF_OPEN) {
      return "flow.half-open";
    }
    return this.#flows.size - freed >= MOST_FLOWS ? "flow.full" : undefined;
  }

  open(key: string, way: Way, packet: Packet, second: number): void {
    const { protocol, payload } = packet;
    const remote = way === "out" ? packet.destination : packet.source;
    const echo = protocol === ICMP;
    const [source, destination] = echo ? [0, 0] : [uint16(payload, 0), uint16(payload, 2)];
    this.#flows.set(key, {
      protocol,
      remote,
      remotePort: way === "out" ? destination : source,
      vmPort: way === "out" ? source : destination,
      way,
      port: portOf(packet),
      neighbour: packet.neighbour,
      last: second,
      halfOpen: isBareSyn(packet),
      answered: false,
      acknowledged: acknowledgedBy(way, packet),
      cut: false,
    });
  }

  /** A packet of a flow passes. */
  touch(flow: Flow, way: Way, packet: Packet, second: number): void {
    flow.last = second;
    if (packet.protocol !== TCP) return;
    const { syn, ack, rst } = tcpFlags(packet);
    if (way !== flow.way && syn && ack) flow.answered = true;
    if (way === flow.way && flow.answered && !syn && !rst) flow.halfOpen = false;
    flow.acknowledged = acknowledgedBy(way, packet) ?? flow.acknowledged;
  }

  /** Throws out flows by a question, and says which. */
  end(ends: (flow: Flow) => boolean): Flow[] {
    const ended: Flow[] = [];
    for (const [key, flow] of this.#flows) {
      if (!ends(flow)) continue;
      ended.push(flow);
      this.delete(key);
    }
    return ended;
  }

  delete(key: string): void {
    if (this.#flows.get(key)?.cut) this.#cut -= 1;
    this.#flows.delete(key);
  }
}

function acknowledgedBy(way: Way, packet: Packet): number | undefined {
  if (way !== "out" || packet.protocol !== TCP || !tcpFlags(packet).ack) return undefined;
  return uint32(packet.payload, 8);
}

/** First fragments that passed, by direction. */
export class Fragments {
  readonly #noted: Record<Way, Map<string, number>> = { in: new Map(), out: new Map() };

  knows(way: Way, packet: Packet): boolean {
    return this.#noted[way].has(fragmentKey(packet));
  }

  hasRoom(way: Way): boolean {
    return this.#noted[way].size < MOST_FRAGMENTS;
  }

  note(way: Way, packet: Packet, second: number): void {
    this.#noted[way].set(fragmentKey(packet), second);
  }

  /** The second in which its first fragment was noted. */
  noted(way: Way, packet: Packet): number | undefined {
    return this.#noted[way].get(fragmentKey(packet));
  }

  forgetOlder(second: number): void {
    for (const noted of Object.values(this.#noted)) {
      for (const [key, then] of noted) if (second - then > 30) noted.delete(key);
    }
  }

  forgetAll(): void {
    for (const noted of Object.values(this.#noted)) noted.clear();
  }
}

function fragmentKey({ source, destination, identification, protocol }: Packet): string {
  return `${source} ${destination} ${identification} ${protocol}`;
}
