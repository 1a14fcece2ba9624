/**
 * A hash whose keys are random, so that a guest, who chooses what is hashed, cannot choose what collides: the multiply-shift
 * scheme for vectors (Dietzfelbinger 1996; Thorup, "High Speed Hashing for Integers and Strings", 2.3). Words of 16 bits,
 * keys of 32: for any two different inputs the chance of the same 16 bits is 2^-16.
 */

/** Bits of an answer. */
export const HASH_BITS = 16;

export class KeyedHash {
  readonly #offset: number;
  readonly #remoteHigh: number;
  readonly #remoteLow: number;
  readonly #portsHigh: number;
  readonly #portsLow: number;
  readonly #kind: number;

  constructor() {
    const keys = crypto.getRandomValues(new Int32Array(6));
    this.#offset = keys[0]!;
    this.#remoteHigh = keys[1]!;
    this.#remoteLow = keys[2]!;
    this.#portsHigh = keys[3]!;
    this.#portsLow = keys[4]!;
    this.#kind = keys[5]!;
  }

  /** 0 … 65,535, for two numbers of 32 bits and one of 16. */
  of(remote: number, ports: number, kind: number): number {
    const sum =
      this.#offset +
      Math.imul(this.#remoteHigh, remote >>> 16) +
      Math.imul(this.#remoteLow, remote & 0xffff) +
      Math.imul(this.#portsHigh, ports >>> 16) +
      Math.imul(this.#portsLow, ports & 0xffff) +
      Math.imul(this.#kind, kind);
    return sum >>> (32 - HASH_BITS);
  }
}
