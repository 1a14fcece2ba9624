/**
 * A target that is a domain name: `registry.npmjs.org`, or `*.githubusercontent.com` for every depth below a name but not
 * itself. It covers no address by itself, so it has no part in the tables of addresses: which addresses a name has, the
 * guard learns from the answers that its VM gets. name-table.ts is what rules with names become.
 */
import { getPublicSuffix } from "tldts";
import { domainNameRemedy, formatDomainName, parseDomainName } from "../../wire/domain-name.ts";
import { CLASS_OTHER } from "../default-layer.ts";
import type { NamePattern, Target, TargetKind } from "./target.ts";

const WILDCARD = "*.";
/**
 * On the list so that browsers keep cookies apart, though nobody but the owner gets a name below it, and a wildcard is how
 * it is used.
 */
const OF_ONE_OWNER: readonly string[] = ["githubusercontent.com"];

export class NameTarget implements Target {
  readonly name: NamePattern;

  constructor(name: NamePattern) {
    this.name = name;
  }

  get text(): string {
    return (this.name.wildcard ? WILDCARD : "") + formatDomainName(this.name.labels);
  }

  get rank(): number {
    return 32;
  }

  get cidr(): undefined {
    return undefined;
  }

  get cidr6(): undefined {
    return undefined;
  }

  get classes(): readonly number[] {
    return [];
  }

  get classes6(): readonly number[] {
    return [];
  }

  get followsNetwork(): boolean {
    return false;
  }

  get blockedClass(): number {
    return CLASS_OTHER;
  }

  countsInBlocked(): boolean {
    return false;
  }

  prefixes(): readonly [] {
    return [];
  }

  prefixes6(): readonly [] {
    return [];
  }
}

export const NAMES: TargetKind = {
  form: "a domain name such as registry.npmjs.org or *.example.com",

  parse(text) {
    const wildcard = text.startsWith(WILDCARD);
    const labels = parseDomainName(wildcard ? text.slice(WILDCARD.length) : text);
    if (labels === undefined || (wildcard && isPublicSuffix(formatDomainName(labels)))) return undefined;
    return new NameTarget({ labels, wildcard });
  },

  remedy(text) {
    // What is written like a name, behind a direction and before a port.
    const [, written = ""] = /^(?:(?:in|out) +)?([^\s/@[\]]+?)(?::[\d-]*)?$/.exec(text) ?? [];
    if (written === "*" || written === WILDCARD) return "* would be every name: allow 0.0.0.0/0, or give names";
    if (written.startsWith(WILDCARD) && !written.slice(WILDCARD.length).includes("*")) {
      return wildcardRemedy(written.slice(WILDCARD.length));
    }
    if (written.includes("*")) return "a * is the first label of a name or nowhere, as in *.example.com";
    return /[^\d.:]\.|\.[^\d.:]/u.test(written) && !written.includes(":") ? domainNameRemedy(written) : undefined;
  },
};

function wildcardRemedy(below: string): string | undefined {
  const wrong = domainNameRemedy(below, 1);
  if (wrong !== undefined) return wrong;
  const name = formatDomainName(parseDomainName(below, 1)!);
  if (!name.includes("."))
    return `*.${name} would be a whole top-level domain: give more of the name, such as *.example.${name}`;
  if (!isPublicSuffix(name)) return undefined;
  return `anybody may have a name below ${name} (it is a public suffix): give more of the name, such as *.example.${name}`;
}

/** Whether names below it belong to many owners, by the Public Suffix List; those of companies (github.io) count. */
function isPublicSuffix(name: string): boolean {
  if (OF_ONE_OWNER.includes(name)) return false;
  return getPublicSuffix(name, { allowPrivateDomains: true, extractHostname: false, validateHostname: false }) === name;
}
