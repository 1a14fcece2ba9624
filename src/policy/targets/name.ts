/**
 * A target that is a domain name, or `*.` and one: all names below it, at any depth, but not itself. What it covers are no
 * addresses: it takes no part in the tables of addresses (name-table.ts has names).
 */
import { formatDomainName, parseDomainName } from "../../wire/domain-name.ts";
import type { Cidr } from "../cidr.ts";
import type { Cidr6 } from "../cidr-6.ts";
import { CLASS_OTHER } from "../default-layer.ts";
import type { Target, TargetKind } from "./target.ts";

const WILDCARD = "*.";

export class NameTarget implements Target {
  readonly text: string;
  readonly rank = 32;
  readonly cidr = undefined;
  readonly cidr6 = undefined;
  readonly classes: readonly number[] = [];
  readonly classes6: readonly number[] = [];
  readonly followsNetwork = false;
  readonly blockedClass = CLASS_OTHER;
  readonly name: { readonly labels: Uint8Array; readonly isWildcard: boolean };

  /** `labels`: in wire form, without the wildcard. */
  constructor(labels: Uint8Array, isWildcard: boolean) {
    this.name = { labels, isWildcard };
    this.text = (isWildcard ? WILDCARD : "") + formatDomainName(labels);
  }

  countsInBlocked(): boolean {
    return false;
  }

  prefixes(): readonly Cidr[] {
    return [];
  }

  prefixes6(): readonly Cidr6[] {
    return [];
  }
}

export const NAMES: TargetKind = {
  form: "a name such as registry.npmjs.org or *.example.com",
  parse(text) {
    const isWildcard = text.startsWith(WILDCARD);
    const labels = parseDomainName(isWildcard ? text.slice(WILDCARD.length) : text);
    return labels && new NameTarget(labels, isWildcard);
  },
};
