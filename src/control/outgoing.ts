/** Bytes that wait to be sent: one buffer that grows as needed and is released when it is empty. */

const SMALL = 4096;

export class Outgoing {
  #bytes: Buffer = Buffer.alloc(SMALL);
  #begin = 0;
  #end = 0;

  /** How many bytes wait. */
  get length(): number {
    return this.#end - this.#begin;
  }

  add(text: string): void {
    const size = Buffer.byteLength(text);
    const held = this.length;
    if (this.#end + size > this.#bytes.length) {
      const room =
        held + size > this.#bytes.length ? Buffer.alloc(2 ** Math.ceil(Math.log2(held + size))) : this.#bytes;
      this.#bytes.copy(room, 0, this.#begin, this.#end);
      this.#bytes = room;
      this.#begin = 0;
      this.#end = held;
    }
    this.#bytes.write(text, this.#end);
    this.#end += size;
  }

  /** Calls `send`, which returns how many bytes it took, until it takes no more or all are sent. */
  flush(send: (bytes: Uint8Array) => number): void {
    if (this.length === 0) return;
    this.#begin += send(this.#bytes.subarray(this.#begin, this.#end));
    if (this.#begin === this.#end) this.clear();
  }

  clear(): void {
    this.#begin = 0;
    this.#end = 0;
    if (this.#bytes.length > SMALL) this.#bytes = Buffer.alloc(SMALL);
  }
}
