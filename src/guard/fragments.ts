/**
 * Fragmented packets whose first fragment passed, so that the rest of them may follow: a table for one direction (docs/guard.md,
 * Fragments; threat rows I1 and I13). A packet has a place until its last fragment has followed all others in their order,
 * which is what hosts send; what stays in pieces makes room for what comes, that of the same remote address first.
 */
import { KeyedSlots, NO_SLOT } from "./keyed-slots.ts";
import type { Remotes } from "./remotes.ts";
import { Rings } from "./rings.ts";

/** Packets noted at once. */
export const MOST_PACKETS = 256;
const MOST_OF_REMOTE = 64;

/** Whole seconds after which one is over once they are exceeded. */
const SECONDS = 30;

const OLDEST_OF_ALL = 0;

/** How addresses and names are numbers. */
export interface PacketNumbers extends Remotes {
  /** The packet that was noted by this name is over. */
  releaseName(name: number): void;
}

/** In place of a name, which has 24 bits. */
const UNUSED = -1;

export class FragmentTable {
  readonly #numbers: PacketNumbers;
  readonly #packets = new KeyedSlots(MOST_PACKETS);
  readonly #remotes = new KeyedSlots(MOST_PACKETS);
  readonly #byAge = new Rings(MOST_PACKETS, 1);
  /** A ring for each remote address, by its slot. */
  readonly #byRemote = new Rings(MOST_PACKETS, MOST_PACKETS);
  readonly #packetsOf = new Uint16Array(MOST_PACKETS);
  /** By the packet's slot, as all that follows: its remote address's slot. */
  readonly #group = new Uint16Array(MOST_PACKETS);
  /** The number of its remote address, and its name. */
  readonly #remote = new Int32Array(MOST_PACKETS);
  readonly #name = new Int32Array(MOST_PACKETS).fill(UNUSED);
  /** When its first fragment passed, in seconds. */
  readonly #since = new Float64Array(MOST_PACKETS);
  /** Where the first fragment ends, in bytes. */
  readonly #firstEnd = new Uint16Array(MOST_PACKETS);
  /** Where the next fragment begins, in bytes. */
  readonly #end = new Uint16Array(MOST_PACKETS);
  /** How many fragments have passed; 0 = one of them came out of order. It is asked about the VM's, of which a bucket lets few through. */
  readonly #passed = new Uint16Array(MOST_PACKETS);

  constructor(numbers: PacketNumbers) {
    this.#numbers = numbers;
  }

  clear(): void {
    while (this.#packets.count > 0) this.#forget(this.#byAge.oldest(OLDEST_OF_ALL));
  }

  /** Forgets all packets with this name. */
  clearName(name: number): void {
    for (let slot = 0; slot < MOST_PACKETS; slot++) if (this.#name[slot] === name) this.#forget(slot);
  }

  /**
   * Notes a packet by its first fragment, which passes: its remote address, a further number of 32 bits and a name of 24 that
   * tell it from others, its payload's length, and the time in seconds. The name is released with it.
   */
  note(remote: number, other: number, name: number, length: number, second: number): void {
    // First: what makes room may be of the same remote address.
    const held = this.#numbers.hold(remote);
    this.#forgetOver(second);
    const known = this.#packets.find(held, other, name);
    if (known !== NO_SLOT) this.#forget(known);
    let group = this.#remotes.find(held, 0, 0);
    if (group !== NO_SLOT && this.#packetsOf[group] === MOST_OF_REMOTE) {
      this.#forget(this.#byRemote.oldest(group));
    } else if (this.#packets.count === MOST_PACKETS) {
      this.#forget(this.#byAge.oldest(OLDEST_OF_ALL));
      // It may have been the only one of this remote address.
      group = this.#remotes.find(held, 0, 0);
    }
    if (group === NO_SLOT) group = this.#remotes.add(held, 0, 0);
    const slot = this.#packets.add(held, other, name);
    this.#packetsOf[group]!++;
    this.#group[slot] = group;
    this.#remote[slot] = held;
    this.#name[slot] = name;
    this.#since[slot] = second;
    this.#firstEnd[slot] = length;
    this.#end[slot] = length;
    this.#passed[slot] = 1;
    this.#byAge.add(OLDEST_OF_ALL, slot);
    this.#byRemote.add(group, slot);
  }

  /** The slot of a packet that is noted, until anything else is called; or NO_SLOT. */
  find(remote: number, other: number, name: number, second: number): number {
    this.#forgetOver(second);
    return this.#packets.find(remote, other, name);
  }

  /** Whether a later fragment that begins there overlaps the packet's first one. */
  overlaps(slot: number, offset: number): boolean {
    return offset < this.#firstEnd[slot]!;
  }

  /**
   * Follows a later fragment of a noted packet: `offset` and `length` of its payload in bytes, `last`: no more fragments. Where
   * the packet is whole with it, and none came out of order, returns how many there were; else 0.
   */
  follow(slot: number, offset: number, length: number, last: boolean): number {
    const passed = this.#passed[slot]!;
    if (offset !== this.#end[slot]!) {
      this.#passed[slot] = 0;
      return 0;
    }
    if (last) {
      this.#forget(slot);
      return passed === 0 ? 0 : passed + 1;
    }
    this.#end[slot] = offset + length;
    if (passed !== 0) this.#passed[slot] = passed + 1;
    return 0;
  }

  /** Each was noted once, so that all together these cost no more than noting. */
  #forgetOver(second: number): void {
    while (this.#packets.count > 0) {
      const oldest = this.#byAge.oldest(OLDEST_OF_ALL);
      if (!(second - this.#since[oldest]! > SECONDS)) return;
      this.#forget(oldest);
    }
  }

  #forget(slot: number): void {
    const group = this.#group[slot]!;
    this.#numbers.releaseName(this.#name[slot]!);
    this.#name[slot] = UNUSED;
    this.#packets.remove(slot);
    this.#byAge.remove(slot);
    this.#byRemote.remove(slot);
    if (--this.#packetsOf[group]! === 0) this.#remotes.remove(group);
    this.#numbers.release(this.#remote[slot]!);
  }
}
