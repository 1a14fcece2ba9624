/**
 * Fragmented packets whose first fragment passed, so that the rest of them may follow: a table for one direction (docs/guard.md,
 * Fragments; threat rows I1 and I13). A packet has a place until its last fragment has followed all others in their order,
 * which is what hosts send; what stays in pieces makes room for what comes, that of the same remote address first.
 */
import { KeyedSlots, NO_SLOT } from "../keyed-slots.ts";
import { Rings } from "../rings.ts";

/** Packets noted at once are 2^8. */
const BITS = 8;
const MOST_PACKETS = 1 << BITS;
const MOST_OF_REMOTE = 64;

/** Whole seconds after which one is over once they are exceeded. */
const SECONDS = 30;

const OLDEST_OF_ALL = 0;

export class FragmentTable {
  readonly #packets = new KeyedSlots(BITS);
  readonly #remotes = new KeyedSlots(BITS);
  readonly #byAge = new Rings(MOST_PACKETS, 1);
  /** A ring for each remote address, by its slot. */
  readonly #byRemote = new Rings(MOST_PACKETS, MOST_PACKETS);
  readonly #packetsOf = new Uint16Array(MOST_PACKETS);
  /** By the packet's slot, as all that follows: its remote address's slot. */
  readonly #remote = new Uint16Array(MOST_PACKETS);
  /** When its first fragment passed, in seconds. */
  readonly #since = new Float64Array(MOST_PACKETS);
  /** Where the next fragment begins, in bytes. */
  readonly #end = new Uint16Array(MOST_PACKETS);
  /** How many fragments have passed; 0 = one of them came out of order. It is asked about the VM's, of which a bucket lets few through. */
  readonly #passed = new Uint16Array(MOST_PACKETS);

  clear(): void {
    this.#packets.clear();
    this.#remotes.clear();
    this.#byAge.clear();
    this.#byRemote.clear();
    this.#packetsOf.fill(0);
  }

  /**
   * Notes a packet by its first fragment, which passes: addresses, name (identification and protocol, 24 bits), its payload's
   * length, and the time in seconds.
   */
  note(remote: number, own: number, name: number, length: number, second: number): void {
    this.#forgetOver(second);
    const known = this.#packets.find(remote, own, name);
    if (known !== NO_SLOT) this.#forget(known);
    let group = this.#remotes.find(remote, 0, 0);
    if (group !== NO_SLOT && this.#packetsOf[group] === MOST_OF_REMOTE) {
      this.#forget(this.#byRemote.oldest(group));
    } else if (this.#packets.count === MOST_PACKETS) {
      this.#forget(this.#byAge.oldest(OLDEST_OF_ALL));
      // It may have been the only one of this remote address.
      group = this.#remotes.find(remote, 0, 0);
    }
    if (group === NO_SLOT) group = this.#remotes.add(remote, 0, 0);
    const slot = this.#packets.add(remote, own, name);
    this.#packetsOf[group]!++;
    this.#remote[slot] = group;
    this.#since[slot] = second;
    this.#end[slot] = length;
    this.#passed[slot] = 1;
    this.#byAge.add(OLDEST_OF_ALL, slot);
    this.#byRemote.add(group, slot);
  }

  /** The slot of a packet that is noted, until anything else is called; or NO_SLOT. */
  find(remote: number, own: number, name: number, second: number): number {
    this.#forgetOver(second);
    return this.#packets.find(remote, own, name);
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
    const group = this.#remote[slot]!;
    this.#packets.remove(slot);
    this.#byAge.remove(slot);
    this.#byRemote.remove(slot);
    if (--this.#packetsOf[group]! === 0) this.#remotes.remove(group);
  }
}
