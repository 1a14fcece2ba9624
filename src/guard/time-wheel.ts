/**
 * A wheel of whole seconds: each slot of a table stands in the list of the second in which it is to be looked at again, or in
 * one of some lists beside the wheel, in the order in which it came there. Placing, removing and finding what is due cost the
 * same however much there is; nothing is allocated.
 */

/** An empty list's first slot. */
export const NO_SLOT = -1;

export class TimeWheel {
  readonly #span: number;
  readonly #slots: number;
  readonly #heads: number;
  /** Circular lists; behind the slots stand the heads of the wheel's lists, then those of the lists beside it. */
  readonly #next: Uint16Array;
  readonly #before: Uint16Array;
  #position = 0;

  /** For slots 0 … slots - 1, delays of up to `longest` seconds, and lists 0 … lists - 1; together below 65,536. */
  constructor(slots: number, longest: number, lists: number) {
    this.#slots = slots;
    this.#span = longest + 1;
    this.#heads = slots + this.#span + lists;
    this.#next = new Uint16Array(this.#heads);
    this.#before = new Uint16Array(this.#heads);
    this.clear();
  }

  /** Forgets all slots. */
  clear(): void {
    for (let head = this.#slots; head < this.#heads; head++) {
      this.#next[head] = head;
      this.#before[head] = head;
    }
  }

  /** Places a slot that stands nowhere: it is due in `delay` seconds, 1 … longest. */
  place(slot: number, delay: number): void {
    const head = this.#slots + ((this.#position + delay) % this.#span);
    const next = this.#next[head]!;
    this.#next[slot] = next;
    this.#before[slot] = head;
    this.#next[head] = slot;
    this.#before[next] = slot;
  }

  /** Puts a slot that stands nowhere at the end of a list beside the wheel. */
  append(slot: number, list: number): void {
    const head = this.#slots + this.#span + list;
    const before = this.#before[head]!;
    this.#before[slot] = before;
    this.#next[slot] = head;
    this.#before[head] = slot;
    this.#next[before] = slot;
  }

  /** The slot that has been in a list beside the wheel for longest; NO_SLOT where it is empty. */
  first(list: number): number {
    const slot = this.#next[this.#slots + this.#span + list]!;
    return slot < this.#slots ? slot : NO_SLOT;
  }

  /** Takes a slot out, wherever it stands. */
  remove(slot: number): void {
    const next = this.#next[slot]!;
    const before = this.#before[slot]!;
    this.#next[before] = next;
    this.#before[next] = before;
  }

  /**
   * Moves on by some seconds and hands every slot that became due to `due`, taken out; it may be placed again there, with a
   * delay from the new time on.
   */
  turn(seconds: number, due: (slot: number) => void): void {
    // One turn around meets every list.
    const steps = Math.min(seconds, this.#span);
    const from = this.#position;
    this.#position = (from + steps) % this.#span;
    for (let step = 1; step <= steps; step++) {
      const head = this.#slots + ((from + step) % this.#span);
      for (let slot = this.#next[head]!; slot !== head; ) {
        // What is placed again meanwhile goes to a list's front, behind us.
        const next = this.#next[slot]!;
        this.remove(slot);
        due(slot);
        slot = next;
      }
    }
  }
}
