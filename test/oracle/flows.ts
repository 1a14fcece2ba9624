/**
 * The second guard's flows, in a Map with text for keys. Time is counted in whole seconds; what is over is thrown out
 * whenever the second changes, so that what is left is what is alive.
 */
import { uint16, uint32 } from "./bytes.ts";
import { ICMP, TCP, UDP } from "./ipv4.ts";
import type { Way } from "./rules.ts";

const MOST_FLOWS = 32_768;
const MOST_TO_VM = 16_384;
const MOST_HALF_OPEN = 256;
/** What was idle for no longer gives its place to nobody; what was ended, for no longer than this. */
const IDLE = 300;
const ENDED = 1;

const ICMPV6 = 58;
const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

export type Refusal = "flow.half-open" | "flow.full";
export type HalfOpen = "handshake" | "mid-stream";

/** What flows need to know of a packet of either family. */
export interface FlowPacket<Address> {
  readonly protocol: number;
  readonly source: Address;
  readonly destination: Address;
  readonly first: boolean;
  readonly payload: Uint8Array;
  readonly neighbour: string;
}

type Segment = Pick<FlowPacket<unknown>, "protocol" | "first" | "payload">;

export interface Flow<Address = number> {
  readonly key: string;
  readonly protocol: number;
  readonly remote: Address;
  /** The VM's address. */
  readonly own: Address;
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
  /** The side that did not open it has sent SYN and ACK, or with UDP anything. */
  answered: boolean;
  /** Sides that have sent FIN without RST. */
  readonly finished: Set<Way>;
  /** Sides whose last segment is a RST, since which the other one has sent nothing else. */
  readonly reset: Set<Way>;
  /** The last acknowledgement number that the VM sent. */
  acknowledged: number | undefined;
  /** Ended by a policy, but remembered, so that its far side cannot begin it anew. */
  cut: boolean;
}

/** Flags of a TCP segment. */
export function tcpFlags(packet: Segment) {
  const flags = packet.payload[13]!;
  const has = (bit: number) => Math.floor(flags / bit) % 2 === 1;
  return { fin: has(FIN), syn: has(SYN), rst: has(RST), ack: has(ACK) };
}

export function isBareSyn(packet: Segment): boolean {
  if (packet.protocol !== TCP || !packet.first) return false;
  const { syn, ack } = tcpFlags(packet);
  return syn && !ack;
}

/** How a flow that this packet opens would be half-open, or undefined. */
export function halfOpenBy(way: Way, packet: Segment): HalfOpen | undefined {
  if (packet.protocol !== TCP) return undefined;
  if (isBareSyn(packet)) return "handshake";
  return way === "in" ? "mid-stream" : undefined;
}

/** The port that rules are asked about. */
export function portOf(packet: Segment): number | undefined {
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

/** Both sides have sent FIN, or one RST and the other did not disbelieve it. */
export function isClosed({ protocol, halfOpen, finished, reset }: Flow<unknown>): boolean {
  return protocol === TCP && halfOpen === undefined && (finished.size === 2 || reset.size > 0);
}

/** Closed, and the VM has had its part in it: a FIN at any time, or a RST that nothing has contradicted. */
function isEnded(flow: Flow<unknown>): boolean {
  return isClosed(flow) && (flow.finished.has("out") || flow.reset.has("out"));
}

/** Seconds that a flow lives without a packet. */
export function lifetime(flow: Flow<unknown>): number {
  if (flow.protocol === ICMP || flow.protocol === ICMPV6) return 60;
  if (flow.protocol === UDP) return flow.answered ? 120 : 30;
  if (flow.halfOpen !== undefined) return 60;
  return isClosed(flow) ? 240 : 7440;
}

/** What a segment of a flow says about the connection's end. */
function noteEnd(flow: Flow<unknown>, way: Way, packet: Segment): void {
  if (isBareSyn(packet)) return;
  const { fin, rst } = tcpFlags(packet);
  if (rst) {
    flow.reset.add(way);
    return;
  }
  flow.reset.clear();
  if (fin) flow.finished.add(way);
}

export class Flows<Address = number> {
  /** What of a remote address counts together in the bound of half-open flows. */
  readonly #group: (remote: Address) => unknown;
  readonly #flows = new Map<string, Flow<Address>>();

  #cut = 0;
  #toVm = 0;
  /** How many flows had their last packet in a second: all of them and those that the remote sides opened; ended ones of both. */
  readonly #seconds = { all: new Map<number, number>(), in: new Map<number, number>() };
  readonly #endedSeconds = { all: new Map<number, number>(), in: new Map<number, number>() };
  /** Half-open flows by who opened them and the remote address. */
  readonly #halfOpen = new Map<string, number>();

  constructor(group: (remote: Address) => unknown = (remote) => remote) {
    this.#group = group;
  }

  /** Live and cut ones. */
  get size(): number {
    return this.#flows.size;
  }

  get live(): number {
    return this.#flows.size - this.#cut;
  }

  /** Cuts a flow, or makes a cut one live again. */
  setCut(flow: Flow<Address>, cut: boolean): void {
    if (flow.cut !== cut) this.#cut += cut ? 1 : -1;
    flow.cut = cut;
  }

  /** All of them, live and cut. */
  list(): Flow<Address>[] {
    return [...this.#flows.values()];
  }

  get(key: string): Flow<Address> | undefined {
    return this.#flows.get(key);
  }

  /** Live and cut ones that the remote sides opened. */
  get toVm(): number {
    return this.#toVm;
  }

  /** Half-open flows of one remote address that one side opened. */
  halfOpen(way: Way, remote: Address): number {
    return this.#halfOpen.get(`${way} ${this.#group(remote)}`) ?? 0;
  }

  /** Why this packet cannot open a flow, counted without the one whose place it takes. */
  refusalWithout(
    gone: Flow<Address> | undefined,
    way: Way,
    packet: FlowPacket<Address>,
    second: number,
  ): Refusal | undefined {
    const remote = way === "out" ? packet.destination : packet.source;
    const freedHalfOpen = gone?.halfOpen !== undefined && gone.way === way ? 1 : 0;
    if (halfOpenBy(way, packet) !== undefined && this.halfOpen(way, remote) - freedHalfOpen >= MOST_HALF_OPEN) {
      return "flow.half-open";
    }
    const full = this.#fullWithout(gone, way);
    if (full === undefined) return undefined;
    const ended = this.#oldest(this.#endedSeconds[full], full, gone !== undefined && isEnded(gone) ? gone : undefined);
    const idle = this.#oldest(this.#seconds[full], full, gone);
    return second - ended > ENDED || second - idle > IDLE ? undefined : "flow.full";
  }

  /** Which bound leaves no room for one more. */
  #fullWithout(gone: Flow<Address> | undefined, way: Way): "in" | "all" | undefined {
    const toVm = this.#toVm - (gone?.way === "in" ? 1 : 0);
    if (way === "in" && toVm >= MOST_TO_VM) return "in";
    return this.size - (gone === undefined ? 0 : 1) >= MOST_FLOWS ? "all" : undefined;
  }

  /** The oldest second of last packets, with one flow left out. */
  #oldest(seconds: ReadonlyMap<number, number>, which: "in" | "all", gone: Flow<Address> | undefined): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const [second, count] of seconds) {
      const own = gone?.last === second && (which === "all" || gone.way === "in") ? 1 : 0;
      if (count > own) oldest = Math.min(oldest, second);
    }
    return oldest;
  }

  /** Ends those that were ended longest ago, or else are idle longest, where there is no room for one more; says which. */
  makeRoom(way: Way, now: number): { which: "in" | "all"; of: "ended" | "idle"; ended: Flow<Address>[] } | undefined {
    const which = this.#fullWithout(undefined, way);
    if (which === undefined) return undefined;
    const oldestEnded = this.#oldest(this.#endedSeconds[which], which, undefined);
    const of = now - oldestEnded > ENDED ? "ended" : "idle";
    const oldest = of === "ended" ? oldestEnded : this.#oldest(this.#seconds[which], which, undefined);
    const gives = (flow: Flow<Address>) =>
      flow.last === oldest && (which === "all" || flow.way === "in") && (of === "idle" || isEnded(flow));
    return { which, of, ended: this.end(gives) };
  }

  /** A packet keeps a flow alive. */
  keep(flow: Flow<Address>, second: number): void {
    this.#countSecond(flow, -1);
    flow.last = second;
    this.#countSecond(flow, 1);
  }

  open(key: string, way: Way, packet: FlowPacket<Address>, second: number): void {
    const { protocol, payload } = packet;
    const remote = way === "out" ? packet.destination : packet.source;
    const echo = protocol === ICMP || protocol === ICMPV6;
    const [source, destination] = echo ? [0, 0] : [uint16(payload, 0), uint16(payload, 2)];
    const flow: Flow<Address> = {
      key,
      protocol,
      remote,
      own: way === "out" ? packet.source : packet.destination,
      remotePort: way === "out" ? destination : source,
      vmPort: way === "out" ? source : destination,
      way,
      port: portOf(packet),
      neighbour: packet.neighbour,
      last: second,
      halfOpen: halfOpenBy(way, packet),
      answered: false,
      finished: new Set(),
      reset: new Set(),
      acknowledged: acknowledgedBy(way, packet),
      cut: false,
    };
    if (protocol === TCP) noteEnd(flow, way, packet);
    this.#flows.set(key, flow);
    this.#count(flow, 1);
  }

  /** A packet of a flow passes. Answers whether the flow is over with it. */
  touch(flow: Flow<Address>, way: Way, packet: FlowPacket<Address>, second: number): boolean {
    this.keep(flow, second);
    const back = way !== flow.way;
    if (packet.protocol === UDP && back) flow.answered = true;
    if (packet.protocol !== TCP) return false;
    this.#countSecond(flow, -1);
    const over = this.#follow(flow, way, packet);
    if (!over) this.#countSecond(flow, 1);
    return over;
  }

  /** A segment of a flow, which is not among the counted seconds meanwhile. */
  #follow(flow: Flow<Address>, way: Way, packet: FlowPacket<Address>): boolean {
    const back = way !== flow.way;
    const { syn, ack, rst } = tcpFlags(packet);
    noteEnd(flow, way, packet);
    if (rst && back && flow.halfOpen !== undefined && !flow.cut) {
      this.#countSecond(flow, 1);
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
  isStillCut(flow: Flow<Address>): boolean {
    return flow.cut && this.#flows.get(flow.key) === flow;
  }

  /** Throws out flows by a question, and says which. */
  end(ends: (flow: Flow<Address>) => boolean): Flow<Address>[] {
    const ended: Flow<Address>[] = [];
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

  #count(flow: Flow<Address>, change: number): void {
    this.#countSecond(flow, change);
    if (flow.way === "in") this.#toVm += change;
    if (flow.halfOpen !== undefined) this.#countHalfOpen(flow, change);
  }

  #countSecond(flow: Flow<Address>, change: number): void {
    const { way, last } = flow;
    for (const counted of isEnded(flow) ? [this.#seconds, this.#endedSeconds] : [this.#seconds]) {
      for (const seconds of way === "in" ? [counted.all, counted.in] : [counted.all]) {
        const count = (seconds.get(last) ?? 0) + change;
        if (count === 0) seconds.delete(last);
        else seconds.set(last, count);
      }
    }
  }

  #countHalfOpen({ way, remote }: Flow<Address>, change: number): void {
    const key = `${way} ${this.#group(remote)}`;
    const count = this.halfOpen(way, remote) + change;
    if (count === 0) this.#halfOpen.delete(key);
    else this.#halfOpen.set(key, count);
  }
}

function acknowledgedBy(way: Way, packet: Segment): number | undefined {
  if (way !== "out" || packet.protocol !== TCP || !tcpFlags(packet).ack) return undefined;
  return uint32(packet.payload, 8);
}
