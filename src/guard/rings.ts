/** Slots of a table in circular lists, each in the order in which its slots were put in. Nothing is allocated. */

export class Rings {
  readonly #slots: number;
  /** Behind the slots stand the rings' heads. */
  readonly #newer: Uint16Array;
  readonly #older: Uint16Array;

  /** For slots 0 … slots - 1, each in at most one of `rings` rings; together they must stay below 65,536. */
  constructor(slots: number, rings: number) {
    this.#slots = slots;
    this.#newer = new Uint16Array(slots + rings);
    this.#older = new Uint16Array(slots + rings);
    this.clear();
  }

  /** Empties all rings. */
  clear(): void {
    for (let head = this.#slots; head < this.#newer.length; head++) {
      this.#newer[head] = head;
      this.#older[head] = head;
    }
  }

  /** Puts a slot that is in no ring into this one, as its newest. */
  add(ring: number, slot: number): void {
    const head = this.#slots + ring;
    const last = this.#older[head]!;
    this.#older[slot] = last;
    this.#newer[slot] = head;
    this.#newer[last] = slot;
    this.#older[head] = slot;
  }

  /** Takes a slot out of its ring. */
  remove(slot: number): void {
    const newer = this.#newer[slot]!;
    const older = this.#older[slot]!;
    this.#newer[older] = newer;
    this.#older[newer] = older;
  }

  /** The slot that has been in a ring longest; there must be one. */
  oldest(ring: number): number {
    return this.#newer[this.#slots + ring]!;
  }
}
