/**
 * A target that is a domain name, or `*.` and one: all names below it, at any depth, but not itself. What it covers are no
 * addresses: it takes no part in the tables of addresses (name-table.ts has names).
 */
import { getPublicSuffix } from "tldts";
import { domainNameRemedy, formatDomainName, parseDomainName } from "../../wire/domain-name.ts";
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
    if (labels === undefined || (isWildcard && isPublicSuffix(formatDomainName(labels)))) return undefined;
    return new NameTarget(labels, isWildcard);
  },
  remedy(text) {
    const isWildcard = text.startsWith(WILDCARD);
    const name = isWildcard ? text.slice(WILDCARD.length) : text;
    if (!/[a-z]/i.test(name) || /[:/@[\]]/.test(name) || !text.includes(".")) return undefined;
    // One label is a public suffix, too.
    const labels = isWildcard ? parseDomainName(name, 1) : undefined;
    const suffix = labels && formatDomainName(labels);
    if (suffix !== undefined && isPublicSuffix(suffix)) {
      return `anybody can have a name below ${suffix}, so it would open all of ${suffix}: name the hosts, such as *.example.${suffix}`;
    }
    return domainNameRemedy(name);
  },
};

/** Whether names directly below it belong to whoever registers them (`com`, `co.uk`, `github.io`). */
const isPublicSuffix = (name: string): boolean => getPublicSuffix(name, { allowPrivateDomains: true }) === name;
