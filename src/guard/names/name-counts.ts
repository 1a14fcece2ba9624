/**
 * What was asked and said by name, for people: counts, and events where somebody listens (docs/guard-names.md, What people
 * see). A VM may invent names without end; those of which nothing has passed have places of their own, so they take none from
 * the others, and the newest always has one.
 */
import { formatDomainName } from "../../wire/domain-name.ts";
import { DROP_REASONS, PASS, verdictOf } from "../reasons.ts";
import type { NameCount, NameEvent } from "../types.ts";
import { type Address, nameKey } from "./pairs.ts";

const TYPE = verdictOf("dns.type");

/** Names of which a question or a connection has passed, and others. */
export const MOST_PASSED = 3072;
export const MOST_DENIED = 1024;

/** The text that stands for all names that have no place any more. */
export const OTHER_NAMES = "*";

type Counts = { -readonly [Key in keyof NameCount]: NameCount[Key] };

export class NameCounts {
  /** The one that was counted least recently first; a name is in one of them. */
  readonly #passed = new Map<string, Counts>();
  readonly #denied = new Map<string, Counts>();
  /** Of names that have lost their places. */
  #others: Counts | undefined;
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
    for (const names of [this.#passed, this.#denied]) for (const counts of names.values()) yield { ...counts };
    if (this.#others !== undefined) yield { ...this.#others };
  }

  question(labels: Uint8Array, length: number, type: number, verdict: number): void {
    // An empty answer because of its type is no sign of use: it takes no token from the bucket of new names.
    const counts = this.#of(labels, length, verdict === PASS);
    counts.asked++;
    // The name may be allowed: only its type is answered with nothing.
    if (verdict !== PASS && verdict !== TYPE) counts.denied++;
    if (this.#isTold) this.#tell({ kind: "question", name: counts.name, type, decision: wordOf(verdict) });
  }

  learned(labels: Uint8Array, length: number, addresses: number): void {
    const counts = this.#of(labels, length, true);
    counts.addresses += addresses;
    if (this.#isTold) this.#tell({ kind: "learned", name: counts.name, addresses });
  }

  /** `length` 0: the first bytes name nobody. */
  connection(remote: Address, port: number, labels: Uint8Array, length: number, verdict: number): void {
    let name = {};
    if (length > 0) {
      const counts = this.#of(labels, length, verdict === PASS);
      if (verdict === PASS) counts.passed++;
      else counts.refused++;
      name = { name: counts.name };
    }
    if (!this.#isTold) return;
    this.#tell({ kind: "connection", ...name, remote, port, decision: wordOf(verdict) });
  }

  /** `names`: that have the remote address. */
  opened(remote: Address, protocol: number, port: number, names: readonly string[]): void {
    this.#tell({ kind: "opened", remote, protocol, port, names });
  }

  refusedPair(): void {
    this.refusedPairs++;
  }

  /** `passes`: something of the name does now. */
  #of(labels: Uint8Array, length: number, passes: boolean): Counts {
    const key = nameKey(labels, length);
    const passed = this.#passed.get(key);
    const known = passed ?? this.#denied.get(key);
    const counts = known ?? countsOf(formatDomainName(labels));
    const belongs = passes || passed !== undefined ? this.#passed : this.#denied;
    this.#denied.delete(key);
    // Behind all others: it is the one that was counted most recently.
    belongs.delete(key);
    if (belongs.size === (belongs === this.#passed ? MOST_PASSED : MOST_DENIED)) this.#forgetFirst(belongs);
    belongs.set(key, counts);
    return counts;
  }

  #forgetFirst(names: Map<string, Counts>): void {
    this.#others ??= countsOf(OTHER_NAMES);
    for (const [key, counts] of names) {
      names.delete(key);
      for (const what of COUNTED) this.#others[what] += counts[what];
      return;
    }
  }
}

const COUNTED = ["asked", "denied", "addresses", "passed", "refused"] as const;

const countsOf = (name: string): Counts => ({ name, asked: 0, denied: 0, addresses: 0, passed: 0, refused: 0 });

const wordOf = (verdict: number): string => (verdict === PASS ? "passed" : DROP_REASONS[verdict - 1]!.name);
