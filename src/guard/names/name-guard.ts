/**
 * Rules by name (docs/guard-names.md): what one VM's names are judged by, in both address families. Each family's flows have a
 * NameFlows of their own.
 */

import { NameTable } from "../../policy/name-table.ts";
import type { Rule } from "../../policy/rule.ts";
import { parseDomainName } from "../../wire/domain-name.ts";
import { RuleHits } from "../rule-hits.ts";
import type { NameCount, NameEvent, NamePair } from "../types.ts";
import { DnsGate } from "./dns-gate.ts";
import { NameCounts } from "./name-counts.ts";
import type { NameFamily } from "./name-family.ts";
import { type Address, Pairs } from "./pairs.ts";

export class NameGuard {
  readonly pairs = new Pairs();
  readonly counts: NameCounts;
  readonly gate: DnsGate;
  /** Of all rules, also those about addresses: names are of both families. */
  readonly hits = new RuleHits();
  /** By family. */
  #ipv4: NameFamily | undefined;
  #ipv6: NameFamily | undefined;
  #table: NameTable | undefined;

  /** Names are learned, and first bytes read, also where no rule has a name. */
  readonly learns: boolean;

  constructor(ipv6: boolean, onName: ((event: NameEvent) => void) | undefined, learns = false) {
    this.learns = learns;
    this.counts = new NameCounts(onName);
    this.gate = new DnsGate(ipv6, this.pairs, this.counts, this.hits, (address) => this.#isPinnable(address));
  }

  /** Told once by each family. */
  join(family: NameFamily, ipv6: boolean): void {
    if (ipv6) this.#ipv6 = family;
    else this.#ipv4 = family;
  }

  /** Undefined while no rule has a name and nothing is learned. */
  get table(): NameTable | undefined {
    return this.#table;
  }

  setRules(rules: readonly Rule[]): void {
    const table = new NameTable(rules);
    this.#table = table.any || this.learns ? table : undefined;
  }

  /** What was counted, name by name. */
  [Symbol.iterator](): IterableIterator<NameCount> {
    return this.counts[Symbol.iterator]();
  }

  /** Pairs to be kept for a restart. */
  *kept(now: number): IterableIterator<NamePair> {
    for (const { name, address, verifiedEnd, otherEnd } of this.pairs.notOver(now))
      yield { name: name.text, address, verifiedEnd, otherEnd };
  }

  /** Takes over what was kept; what cannot have been learned is left out. */
  restore(kept: readonly NamePair[]): void {
    for (const { name, address, verifiedEnd, otherEnd } of kept) {
      const labels = parseDomainName(name, 1);
      if (labels === undefined || !this.#isPinnable(address)) continue;
      this.pairs.restore(labels, labels.length, address, verifiedEnd, otherEnd, 0);
    }
  }

  #isPinnable(address: Address): boolean {
    const family = typeof address === "number" ? this.#ipv4 : this.#ipv6;
    return family?.isPinnable(address) ?? false;
  }
}
