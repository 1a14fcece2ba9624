/**
 * Network cards of libvirt's running domains that ask for softnet, and which of them no softnet guards: libvirt runs no hook when
 * a card is plugged into a running domain, and none where the hook was never installed.
 *
 * libvirt is not asked. For itself it keeps a file with the XML of each running domain, which it writes anew when a card comes or
 * goes (/run/libvirt/qemu/NAME.xml, mode 0600): so only root sees this.
 */
import { existsSync, readdirSync } from "node:fs";
import { readTrusted } from "../attach/trusted-file.ts";
import { UserError } from "../user-error.ts";
import { type Domain, LARGEST_DOMAIN, parseDomainState } from "./domain-xml.ts";
import { printable } from "./fields.ts";

/** Where libvirtd and virtqemud of `qemu:///system` keep the files. */
export const STATES = "/run/libvirt/qemu";

/** A card without softnet. Texts are ready to be printed. */
export interface UnguardedCard {
  readonly domain: string;
  readonly mac?: string;
  /** On the host; absent where libvirt made none. */
  readonly interface?: string;
  /** The bridge that it is on, else libvirt's type of interface. */
  readonly network: string;
}

export interface DomainsCards {
  /** The domains that ask for softnet, each with how many of its cards have none. */
  readonly domains: ReadonlyMap<string, number>;
  readonly unguarded: readonly UnguardedCard[];
  /** A line for each domain of which this cannot be known, and why. */
  readonly unknown: readonly string[];
}

/** What is looked at. */
export interface DomainsHost {
  readonly states: string;
  /** Whether root wrote a file for the domain. */
  hasFile(name: string): boolean;
  /** Interfaces that a softnet holds. */
  guarded(): ReadonlySet<string>;
  bridgeOf(name: string): string | undefined;
}

export const NO_DOMAINS: DomainsCards = { domains: new Map(), unguarded: [], unknown: [] };

/** Domains by name, cards in libvirt's order. A domain that ends meanwhile is left out. As root: others may not read the files. */
export function readDomainsCards(host: DomainsHost): DomainsCards {
  const domains = new Map<string, number>();
  const unguarded: UnguardedCard[] = [];
  const unknown: string[] = [];
  for (const file of filesIn(host.states)) {
    const domain = read(`${host.states}/${file}`);
    if (domain === undefined) continue;
    if (typeof domain === "string") {
      unknown.push(
        printable(`domain ${file.slice(0, -SUFFIX.length)}: it is not known whether softnet guards it: ${domain}`),
      );
      continue;
    }
    if (domain.options === undefined && !host.hasFile(domain.name)) continue;
    const cards = withoutGuard(domain, host);
    domains.set(printable(domain.name), cards.length);
    unguarded.push(...cards);
  }
  return { domains, unguarded, unknown };
}

/** What another user than root is told, where there are domains. */
export function hiddenDomains(states: string): DomainsCards {
  const count = filesIn(states).length;
  if (count === 0) return NO_DOMAINS;
  return {
    ...NO_DOMAINS,
    unknown: [`whether softnet guards each card of libvirt's domains (${count} run) only root sees`],
  };
}

const ROOT = 0;
const SUFFIX = ".xml";

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((file) => file.endsWith(SUFFIX))
      .sort();
  } catch {
    return []; // libvirt does not run here, or never had a domain
  }
}

/** Text: why it cannot be read. Undefined: it is gone. */
function read(path: string): Domain | string | undefined {
  const text = readTrusted(path, ROOT, LARGEST_DOMAIN);
  if (text === undefined && !existsSync(path)) return undefined;
  if (text === undefined)
    return `${path} cannot be read, is not root's alone, or has more than ${LARGEST_DOMAIN} bytes`;
  try {
    return parseDomainState(text);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

function withoutGuard({ name, cards }: Domain, { guarded, bridgeOf }: DomainsHost): UnguardedCard[] {
  // Looked up after the file was read: a card is in it only when softnet had its time.
  const held = guarded();
  return cards
    .filter(({ target = "" }) => !held.has(target))
    .map(({ type, mac, target }) => {
      const bridge = target === undefined ? undefined : bridgeOf(target);
      return {
        domain: printable(name),
        ...(mac !== undefined && { mac: printable(mac) }),
        ...(target !== undefined && { interface: printable(target) }),
        network: bridge === undefined ? `type ${printable(type)}` : `bridge ${bridge}`,
      };
    });
}
