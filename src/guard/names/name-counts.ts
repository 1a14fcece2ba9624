/** What was asked and said by name, for people: counts, and events where somebody listens (docs/guard-names.md). */
import { formatDomainName } from "../../wire/domain-name.ts";
import { DROP_REASONS, PASS, verdictOf } from "../reasons.ts";
import type { NameCount, NameEvent } from "../types.ts";
import { type Address, MOST_NAMES, nameKey } from "./pairs.ts";

const TYPE = verdictOf("dns.type");

/** The text that stands for all names beyond the first MOST_NAMES. */
export const OTHER_NAMES = "*";

type Counts = { -readonly [Key in keyof NameCount]: NameCount[Key] };

export class NameCounts {
  readonly #byName = new Map<string, Counts>();
  readonly #onName: ((event: NameEvent) => void) | undefined;
  /** Pairs for which there was no room. */
  refusedPairs = 0;

  constructor(onName: ((event: NameEvent) => void) | undefined) {
    this.#onName = onName;
  }

  get #isTold(): boolean {
    return this.#onName !== undefined;
  }

  /** What `onName` throws is thrown again later, as an uncaught exception: a frame may be in the middle of its checks. */
  #tell(event: NameEvent): void {
    try {
      this.#onName?.(event);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  *[Symbol.iterator](): IterableIterator<NameCount> {
    for (const counts of this.#byName.values()) yield { ...counts };
  }

  question(labels: Uint8Array, length: number, type: number, verdict: number): void {
    const counts = this.#of(labels, length);
    counts.asked++;
    // The name may be allowed: only its type is answered with nothing.
    if (verdict !== PASS && verdict !== TYPE) counts.denied++;
    if (this.#isTold) this.#tell({ kind: "question", name: formatDomainName(labels), type, decision: wordOf(verdict) });
  }

  learned(labels: Uint8Array, length: number, addresses: number): void {
    const counts = this.#of(labels, length);
    counts.addresses += addresses;
    if (this.#isTold) this.#tell({ kind: "learned", name: formatDomainName(labels), addresses });
  }

  /** `length` 0: the first bytes name nobody. */
  connection(remote: Address, port: number, labels: Uint8Array, length: number, verdict: number): void {
    if (length > 0) {
      const counts = this.#of(labels, length);
      if (verdict === PASS) counts.passed++;
      else counts.refused++;
    }
    if (!this.#isTold) return;
    const name = length > 0 ? { name: formatDomainName(labels) } : {};
    this.#tell({ kind: "connection", ...name, remote, port, decision: wordOf(verdict) });
  }

  /** `names`: that have the remote address. */
  opened(remote: Address, protocol: number, port: number, names: readonly string[]): void {
    this.#tell({ kind: "opened", remote, protocol, port, names });
  }

  refusedPair(): void {
    this.refusedPairs++;
  }

  #of(labels: Uint8Array, length: number): Counts {
    const key = nameKey(labels, length);
    const known = this.#byName.get(key);
    if (known !== undefined) return known;
    const isNew = this.#byName.size < MOST_NAMES;
    const place = isNew ? key : OTHER_NAMES;
    const others = this.#byName.get(place);
    if (others !== undefined) return others;
    const name = isNew ? formatDomainName(labels) : OTHER_NAMES;
    const counts = { name, asked: 0, denied: 0, addresses: 0, passed: 0, refused: 0 };
    this.#byName.set(place, counts);
    return counts;
  }
}

const wordOf = (verdict: number): string => (verdict === PASS ? "passed" : DROP_REASONS[verdict - 1]!.name);
