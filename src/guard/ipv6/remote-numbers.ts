/**
 * Numbers for remote IPv6 addresses, so that a flow has as many bytes as an IPv4 one: an address that flows or noted
 * fragments have has a number from 1 on, with a count of them, and gives it back with the last one. A packet that nothing is
 * noted of has the number SCRATCH, which is in no table; its address waits in `words` until something begins with it.
 *
 * The upper 64 bits, by which half-open flows are counted (one machine may have all addresses of a /64), have numbers of their
 * own; an address is found by that of its upper half and its lower 64 bits. Both tables are keyed (keyed-hash.ts), exact, and
 * have room for all that can be noted at once: 33,536 addresses, 1,336,320 bytes.
 */
import { MOST_FLOWS } from "../flow-table.ts";
import { MOST_PACKETS } from "../fragments.ts";
import { KeyedSlots, NO_SLOT } from "../keyed-slots.ts";
import type { Remotes } from "../remotes.ts";

/** Of an address that nothing noted has. */
export const SCRATCH = 0;

/** Flows, and packets in either direction, each of another address; packets to the VM each to another one, too. */
const MOST_NUMBERS = MOST_FLOWS + 3 * MOST_PACKETS;

export class RemoteNumbers implements Remotes {
  /** The address that was asked about last. */
  readonly words = new Int32Array(4);
  /** The slot of its upper half, or NO_SLOT. */
  #upper = NO_SLOT;
  readonly #uppers = new KeyedSlots(MOST_NUMBERS);
  readonly #addresses = new KeyedSlots(MOST_NUMBERS);
  /** How many addresses have an upper half; how many things an address. By slot. */
  readonly #addressesOf = new Uint16Array(MOST_NUMBERS);
  readonly #holders = new Uint16Array(MOST_NUMBERS);

  /** How many addresses have a number. */
  get count(): number {
    return this.#addresses.count;
  }

  /** The number of the address of four signed words, or SCRATCH. */
  find(words: Int32Array): number {
    const mine = this.words;
    mine[0] = words[0]!;
    mine[1] = words[1]!;
    mine[2] = words[2]!;
    mine[3] = words[3]!;
    this.#upper = this.#uppers.find(mine[0]!, mine[1]!, 0);
    return this.#upper === NO_SLOT ? SCRATCH : this.#addresses.find(mine[2]!, mine[3]!, this.#upper) + 1;
  }

  /** Asks about the address of a number. */
  select(number: number): void {
    this.#upper = this.#addresses.nameOf(number - 1);
    this.words[0] = this.#uppers.addressOf(this.#upper);
    this.words[1] = this.#uppers.otherOf(this.#upper);
    this.words[2] = this.#addresses.addressOf(number - 1);
    this.words[3] = this.#addresses.otherOf(number - 1);
  }

  /** `number`: what `find` has just returned. What ended since may have been the last that had it: then it is lent anew. */
  hold(number: number): number {
    const slot = number !== SCRATCH && this.#holders[number - 1] !== 0 ? number - 1 : this.#lend();
    this.#holders[slot]!++;
    return slot + 1;
  }

  release(number: number): void {
    const slot = number - 1;
    if (--this.#holders[slot]! > 0) return;
    const upper = this.#addresses.nameOf(slot);
    this.#addresses.remove(slot);
    if (--this.#addressesOf[upper]! === 0) this.#uppers.remove(upper);
  }

  /** A number of the upper half, of the last address for SCRATCH; NO_SLOT, by which nothing is counted, where it has none. */
  countedBy(number: number): number {
    return number === SCRATCH ? this.#upper : this.#addresses.nameOf(number - 1);
  }

  #lend(): number {
    const { words } = this;
    let upper = this.#uppers.find(words[0]!, words[1]!, 0);
    if (upper === NO_SLOT) upper = this.#uppers.add(words[0]!, words[1]!, 0);
    this.#addressesOf[upper]!++;
    return this.#addresses.add(words[2]!, words[3]!, upper);
  }
}
