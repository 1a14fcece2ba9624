/**
 * The second guard's flows and noted first fragments, in Maps with text for keys. Both count in whole seconds; what is
 * over is thrown out whenever the second changes, so that what is left is what is alive.
 */
import { uint16, uint32 } from "./bytes.ts";
import { ICMP, type Packet, TCP, UDP } from "./ipv4.ts";
import type { Way } from "./rules.ts";

const MOST_FLOWS = 32_768;
const MOST_TO_VM = 16_384;
const MOST_HALF_OPEN = 256;
const MOST_FRAGMENTS = 256;

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

export type HalfOpen = "handshake" | "mid-stream";

export interface Flow {
  readonly key: string;
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
  /** What it waits for: the rest of the handshake, or any segment of the VM. */
  halfOpen: HalfOpen | undefined;
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

/** How a flow that this packet opens would be half-open, or undefined. */
export function halfOpenBy(way: Way, packet: Packet): HalfOpen | undefined {
  if (packet.protocol !== TCP) return undefined;
  if (isBareSyn(packet)) return "handshake";
  return way === "in" ? "mid-stream" : undefined;
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
  return flow.halfOpen === undefined ? 300 : 60;
}

export class Flows {
  readonly #flows = new Map<string, Flow>();

  #cut = 0;
  #toVm = 0;
  /** Half-open flows by who opened them and the remote address. */
  readonly #halfOpen = new Map<string, number>();

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

  /** Live and cut ones that the remote sides opened. */
  get toVm(): number {
    return this.#toVm;
  }

  /** Half-open flows of one remote address that one side opened. */
  halfOpen(way: Way, remote: number): number {
    return this.#halfOpen.get(`${way} ${remote}`) ?? 0;
  }

  /** Why this packet cannot open a flow, counted without the one whose place it takes. */
  refusalWithout(gone: Flow | undefined, way: Way, packet: Packet): "flow.half-open" | "flow.full" | undefined {
    const remote = way === "out" ? packet.destination : packet.source;
    const freed = gone === undefined ? 0 : 1;
    const freedOfWay = gone?.way === way ? 1 : 0;
    const freedHalfOpen = gone?.halfOpen === undefined ? 0 : freedOfWay;
    if (halfOpenBy(way, packet) !== undefined && this.halfOpen(way, remote) - freedHalfOpen >= MOST_HALF_OPEN) {
      return "flow.half-open";
    }
    if (this.size - freed >= MOST_FLOWS) return "flow.full";
    return way === "in" && this.toVm - freedOfWay >= MOST_TO_VM ? "flow.full" : undefined;
  }

  open(key: string, way: Way, packet: Packet, second: number): void {
    const { protocol, payload } = packet;
    const remote = way === "out" ? packet.destination : packet.source;
    const echo = protocol === ICMP;
    const [source, destination] = echo ? [0, 0] : [uint16(payload, 0), uint16(payload, 2)];
    const flow: Flow = {
      key,
      protocol,
      remote,
      remotePort: way === "out" ? destination : source,
      vmPort: way === "out" ? source : destination,
      way,
      port: portOf(packet),
      neighbour: packet.neighbour,
      last: second,
      halfOpen: halfOpenBy(way, packet),
      answered: false,
      acknowledged: acknowledgedBy(way, packet),
      cut: false,
    };
    this.#flows.set(key, flow);
    this.#count(flow, 1);
  }

  /** A packet of a flow passes. Answers whether the flow is over with it. */
  touch(flow: Flow, way: Way, packet: Packet, second: number): boolean {
    flow.last = second;
    if (packet.protocol !== TCP) return false;
    const { syn, ack, rst } = tcpFlags(packet);
    const back = way !== flow.way;
    if (rst && back && flow.halfOpen !== undefined && !flow.cut) {
      this.delete(flow.key);
      return true;
    }
    if (back && syn && ack) flow.answered = true;
    const complete = flow.halfOpen === "handshake" && !back && flow.answered && !syn && !rst;
    const answered = flow.halfOpen === "mid-stream" && back && !rst;
    if (complete || answered) {
      this.#countHalfOpen(flow, -1);
      flow.halfOpen = undefined;
    }
    flow.acknowledged = acknowledgedBy(way, packet) ?? flow.acknowledged;
    return false;
  }

  /** Whether a flow that was cut still is: neither live again nor over. */
  isStillCut(flow: Flow): boolean {
    return flow.cut && this.#flows.get(flow.key) === flow;
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
    const flow = this.#flows.get(key);
    if (flow === undefined) return;
    if (flow.cut) this.#cut -= 1;
    this.#count(flow, -1);
    this.#flows.delete(key);
  }

  #count(flow: Flow, change: number): void {
    if (flow.way === "in") this.#toVm += change;
    if (flow.halfOpen !== undefined) this.#countHalfOpen(flow, change);
  }

  #countHalfOpen({ way, remote }: Flow, change: number): void {
    const key = `${way} ${remote}`;
    const count = this.halfOpen(way, remote) + change;
    if (count === 0) this.#halfOpen.delete(key);
    else this.#halfOpen.set(key, count);
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
