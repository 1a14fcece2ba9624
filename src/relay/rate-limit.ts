/**
 * A limit of bytes and of packets a second in one direction: a token bucket each. What is sent is charged as a whole, so a
 * packet that is larger than what is saved is sent once anything is, and what it cost beyond that is paid off before the next
 * one. So no packet is too large for a limit, and the rate holds all the same.
 */
import type { DirectionLimit, Rate } from "../policy/limits.ts";

const SECOND = 1_000_000;
/** Places of a bucket's numbers: in a typed array, because numbers in fields would be boxed anew. */
const LEVEL = 0;
const FULL = 1;
/** Tokens a microsecond. */
const PACE = 2;
const NUMBERS = 3;
const BYTES = 0;
const PACKETS = NUMBERS;

export class RateLimit {
  readonly #numbers = new Float64Array(2 * NUMBERS);
  /** Microseconds. */
  readonly #last = new Float64Array(1);

  /** Both buckets are full at `time`, microseconds; what has no limit never runs out. */
  constructor({ bytes, packets }: DirectionLimit, time: number) {
    this.#fill(BYTES, bytes);
    this.#fill(PACKETS, packets);
    this.#last[0] = time;
  }

  /** Whether a packet may be sent at `time`, which never goes back. */
  allows(time: number): boolean {
    const numbers = this.#numbers;
    const passed = time - this.#last[0]!;
    if (passed > 0) {
      this.#last[0] = time;
      for (let bucket = 0; bucket < numbers.length; bucket += NUMBERS) {
        numbers[bucket + LEVEL] = Math.min(
          numbers[bucket + FULL]!,
          numbers[bucket + LEVEL]! + passed * numbers[bucket + PACE]!,
        );
      }
    }
    return numbers[BYTES + LEVEL]! > 0 && numbers[PACKETS + LEVEL]! > 0;
  }

  /** Takes what so many bytes in so many packets cost; negative: gives it back. */
  charge(bytes: number, packets: number): void {
    this.#numbers[BYTES + LEVEL]! -= bytes;
    this.#numbers[PACKETS + LEVEL]! -= packets;
  }

  /** Microseconds, from when `allows` was asked last, until it returns true. */
  get wait(): number {
    return Math.max(this.#waitFor(BYTES), this.#waitFor(PACKETS));
  }

  #waitFor(bucket: number): number {
    const level = this.#numbers[bucket + LEVEL]!;
    return level > 0 ? 0 : (1 - level) / this.#numbers[bucket + PACE]!;
  }

  #fill(bucket: number, rate: Rate | undefined): void {
    this.#numbers[bucket + LEVEL] = rate?.burst ?? Number.POSITIVE_INFINITY;
    this.#numbers[bucket + FULL] = rate?.burst ?? Number.POSITIVE_INFINITY;
    this.#numbers[bucket + PACE] = (rate?.rate ?? 0) / SECOND;
  }
}
