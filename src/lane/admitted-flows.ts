/**
 * The flows of one family that the guard has admitted, in memory that the programs in the kernel read at the same time
 * (bpf/admitted.h, bpf/admitted6.h; what differs is in flows-4.ts and flows-6.ts).
 * It is a cache: a flow that has no place in it costs a walk through the relay, and nothing else. A flow's place is one of a
 * few in the bucket that a hash of its addresses names, whose secret nobody else has.
 *
 * Only this process changes flows, in an order that a program cannot mistake: a flow's stamp is odd from before its first
 * change until behind its last one, and another one afterwards. Programs write the second of a flow's last packet and the
 * VM's acknowledgement number. Nothing here allocates, and nothing is a system call.
 */

import { FLOW_UDP, KIND } from "../guard/flow-state.ts";
import { MOST_FLOWS } from "../guard/flow-table.ts";

/** bpf/admitted.h. */
const BUCKETS = 8192;
const BUCKET_BITS = 13;
const A_BUCKET = 4;
const PLACES = BUCKETS * A_BUCKET;
/** Words of a flow: eight in both families, of which the third is the family's own. */
const STAMP = 0;
const GENERATION = 1;
export const FAMILYS = 2;
const PORTS = 3;
const RIGHT = 4;
const LAST = 5;
const ACKNOWLEDGEMENT = 6;
const IS_ACKNOWLEDGED = 7;
/** Bits of the right. */
const WAYS = 3;
const IS_UDP = 4;
const PATIENCE_SHIFT = 16;

/** Bytes of all flows, which have so many words each. */
export const sizeOfFlows = (words: number): number => PLACES * words * 4;

const NONE = -1;

/** What a program has seen of a flow. */
export type Report = (flow: number, second: number, acknowledgement: number | undefined) => void;

export abstract class AdmittedFlows {
  protected readonly words: Int32Array<ArrayBuffer>;
  /** Words of a flow. */
  readonly #size: number;
  readonly #report: Report;
  /** By the guard's number. */
  readonly #placeOf = new Int32Array(MOST_FLOWS).fill(NONE);
  /** By the place. */
  readonly #flowOf = new Int32Array(PLACES).fill(NONE);

  /** `memory`: of so many bytes as `sizeOfFlows(size)`. `report`: called before a place is given away. */
  constructor(memory: ArrayBuffer, size: number, report: Report) {
    this.words = new Int32Array(memory, 0, PLACES * size);
    this.#size = size;
    this.#report = report;
  }

  /** 32 bits of a hash with a secret, as the programs have it. `udp`: IS_UDP or 0. */
  protected abstract hashOf(remote: number, ports: number, udp: number): number;

  /** Writes what tells a flow from others besides its ports and its protocol. `at`: its first word. */
  protected abstract putAddresses(at: number, kind: number, remote: number): void;

  /** As FlowObserver has it; `generation`: what it was admitted under. Returns whether it takes a place that it did not have. */
  admit(
    flow: number,
    kind: number,
    remote: number,
    ports: number,
    ways: number,
    patience: number,
    second: number,
    generation: number,
  ): boolean {
    const { words } = this;
    let isNew = false;
    let place = this.#placeOf[flow]!;
    if (place !== NONE) {
      const at = place * this.#size;
      if (words[at + GENERATION] === generation) {
        const right = rightOf(kind, (words[at + RIGHT]! & WAYS) | ways, patience);
        // One word: a program reads the old right or the new one.
        if (words[at + RIGHT] !== right) Atomics.store(words, at + RIGHT, right);
        if (((second - words[at + LAST]!) | 0) > 0) Atomics.store(words, at + LAST, second);
        return false;
      }
      this.report(flow);
    } else {
      place = this.#choose(this.#firstPlace(remote, ports, kind), second, generation);
      if (place === NONE) return false;
      isNew = true;
      const former = this.#flowOf[place]!;
      if (former !== NONE) this.withdraw(former);
      this.#flowOf[place] = flow;
      this.#placeOf[flow] = place;
    }
    const at = place * this.#size;
    const stamp = words[at + STAMP]!;
    Atomics.store(words, at + STAMP, stamp | 1);
    Atomics.store(words, at + GENERATION, generation);
    this.putAddresses(at, kind, remote);
    Atomics.store(words, at + PORTS, ports);
    Atomics.store(words, at + RIGHT, rightOf(kind, ways, patience));
    Atomics.store(words, at + LAST, second);
    Atomics.store(words, at + IS_ACKNOWLEDGED, 0);
    Atomics.store(words, at + STAMP, (stamp | 1) + 1);
    return isNew;
  }

  /** Reports what was seen of a flow since the last time, where it has a place. */
  report(flow: number): void {
    const place = this.#placeOf[flow]!;
    if (place === NONE) return;
    const { words } = this;
    const at = place * this.#size;
    // Each number once: the guard may see a newer one next. A program that writes one meanwhile says so again.
    const acknowledged = Atomics.exchange(words, at + IS_ACKNOWLEDGED, 0) !== 0;
    this.#report(flow, words[at + LAST]!, acknowledged ? words[at + ACKNOWLEDGEMENT]! : undefined);
  }

  /** Reports what was seen of a flow, and takes its place away. */
  withdraw(flow: number): void {
    this.report(flow);
    this.end(flow);
  }

  /** Takes a flow's place away. */
  end(flow: number): void {
    const place = this.#placeOf[flow]!;
    if (place === NONE) return;
    this.#clear(place);
    this.#placeOf[flow] = NONE;
    this.#flowOf[place] = NONE;
  }

  endAll(): void {
    for (let place = 0; place < PLACES; place++) if (this.#flowOf[place] !== NONE) this.#clear(place);
    this.#placeOf.fill(NONE);
    this.#flowOf.fill(NONE);
  }

  #clear(place: number): void {
    const { words } = this;
    const at = place * this.#size;
    const stamp = words[at + STAMP]!;
    Atomics.store(words, at + STAMP, stamp | 1);
    Atomics.store(words, at + RIGHT, 0);
    Atomics.store(words, at + FAMILYS, 0);
    Atomics.store(words, at + STAMP, (stamp | 1) + 1);
  }

  /** A free place of a bucket, one of another generation, or the one that was idle for longest; NONE: all are busy. */
  #choose(first: number, second: number, generation: number): number {
    const { words } = this;
    let chosen = NONE;
    let longest = 0;
    for (let place = first; place < first + A_BUCKET; place++) {
      if (this.#flowOf[place] === NONE) return place;
      const at = place * this.#size;
      if (words[at + GENERATION] !== generation) return place;
      const idle = (second - words[at + LAST]!) | 0;
      if (idle <= longest) continue;
      longest = idle;
      chosen = place;
    }
    return chosen;
  }

  #firstPlace(remote: number, ports: number, kind: number): number {
    return (this.hashOf(remote, ports, udpOf(kind)) >>> (32 - BUCKET_BITS)) * A_BUCKET;
  }
}

function udpOf(kind: number): number {
  return (kind & KIND) === FLOW_UDP ? IS_UDP : 0;
}

function rightOf(kind: number, ways: number, patience: number): number {
  return ways | udpOf(kind) | (patience << PATIENCE_SHIFT);
}
