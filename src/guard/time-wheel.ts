/**
 * A wheel of whole seconds: each slot of a table stands in the list of the second in which it is to be looked at again.
 * Placing, removing and finding what is due cost the same however much there is; nothing is allocated.
 */

export class TimeWheel {
  readonly #span: number;
  readonly #slots: number;
  /** Circular lists; behind the slots stand the lists' heads. */
  readonly #next: Uint16Array;
  readonly #before: Uint16Array;
  #position = 0;

  /** For slots 0 … slots - 1 and delays of up to `longest` seconds; together they must stay below 65,536. */
  constructor(slots: number, longest: number) {
    this.#slots = slots;
    this.#span = longest + 1;
    this.#next = new Uint16Array(slots + this.#span);
    this.#before = new Uint16Array(slots + this.#span);
    this.clear();
  }

  /** Forgets all slots. */
  clear(): void {
    for (let head = this.#slots; head < this.#slots + this.#span; head++) {
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

  /** Takes a slot out. */
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
