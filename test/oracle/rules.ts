/**
 * The second guard's rules: text to fields by a row of plain questions, and asking them by sorting those that count.
 * The grammar and the order of precedence are those of docs/guard.md, "Rules".
 */
import { type Cidr, cidr, contains, edges } from "./bytes.ts";
import { inPrefix, masked, type Prefix, parseAddress } from "./ipv6/bytes.ts";
import { isGlobal6, METADATA6, UNIQUE_LOCAL } from "./ipv6/registry.ts";
import { isGloballyReachable, METADATA } from "./registry.ts";

/** Which way a packet goes, as rules say it: `out` comes from the VM, `in` goes to it. */
export type Way = "in" | "out";

const NAMES = ["@host", "@dns", "@metadata", "@private", "@global"] as const;
export type Name = (typeof NAMES)[number];

export interface OracleRule {
  readonly action: "allow" | "block";
  /** Undefined: a bare rule. */
  readonly way: Way | undefined;
  readonly target: Cidr | Prefix | Name;
  readonly ports: { readonly first: number; readonly last: number } | undefined;
}

/** What names stand for at the moment. */
export interface KnownNetwork {
  readonly gateway: number | undefined;
  readonly dnsServers: readonly number[];
  /** Of IPv6: the router's addresses, and the DNS servers that were announced. */
  readonly hosts6?: readonly bigint[];
  readonly dnsServers6?: readonly bigint[];
}

export const isPrefix = (target: Cidr | Prefix | Name): target is Prefix =>
  typeof target !== "string" && "prefix" in target;

const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(cidr);

/** A number in plain decimal between two ends, or undefined. */
function decimal(text: string, low: number, high: number): number | undefined {
  const value = Number.parseInt(text, 10);
  return String(value) === text && value >= low && value <= high ? value : undefined;
}

function parseTarget(text: string): Cidr | Prefix | Name | undefined {
  const name = NAMES.find((one) => one === text);
  if (name !== undefined) return name;
  const [address, length, ...more] = text.split("/");
  if (length === undefined || more.length > 0) return undefined;
  if (text.includes(":")) {
    const six = parseAddress(address!);
    const bits = decimal(length, 0, 128);
    return six === undefined || bits === undefined ? undefined : masked(six, bits);
  }
  const parts = address!.split(".");
  if (parts.length !== 4 || parts.some((part) => decimal(part, 0, 255) === undefined)) return undefined;
  if (decimal(length, 0, 32) === undefined) return undefined;
  return cidr(text);
}

/** The target without its brackets, and what is behind its colon. */
function splitPort(rest: string): readonly [string, string | undefined] | undefined {
  if (rest.startsWith("[")) {
    const [inside, behind, ...more] = rest.slice(1).split("]");
    if (behind === undefined || more.length > 0 || !inside!.includes(":")) return undefined;
    if (behind === "") return [inside!, undefined];
    return behind.startsWith(":") ? [inside!, behind.slice(1)] : undefined;
  }
  const parts = rest.split(":");
  if (parts.length > 2) return [rest, undefined];
  return [parts[0]!, parts[1]];
}

/** A rule from its text, or undefined where the text is none. */
export function parseRule(action: OracleRule["action"], text: string): OracleRule | undefined {
  let rest = text;
  let way: Way | undefined;
  for (const word of ["in", "out"] as const) {
    if (!text.startsWith(`${word} `)) continue;
    way = word;
    rest = text.slice(word.length);
    while (rest.startsWith(" ")) rest = rest.slice(1);
  }
  const parts = splitPort(rest);
  if (parts === undefined) return undefined;
  const [targetText, portText] = parts;
  const target = parseTarget(targetText);
  if (target === undefined) return undefined;
  if (portText === undefined) return { action, way, target, ports: undefined };

  const ends = portText.split("-");
  if (ends.length > 2) return undefined;
  const first = decimal(ends[0]!, 1, 65535);
  const last = decimal(ends.at(-1)!, 1, 65535);
  if (first === undefined || last === undefined || first > last) return undefined;
  return { action, way, target, ports: { first, last } };
}

/** The rules of a policy; a text that is no rule is a mistake of the test. */
export function parsePolicy(allow: readonly string[], block: readonly string[]): OracleRule[] {
  const all = [...allow.map((text) => parseRule("allow", text)), ...block.map((text) => parseRule("block", text))];
  if (all.includes(undefined)) throw new Error(`no rules: ${allow} ${block}`);
  return all as OracleRule[];
}

/** How a rule is told. */
export function normalForm({ way, target, ports }: OracleRule): string {
  const words = way === undefined ? "" : `${way} `;
  let place: string;
  if (typeof target === "string") {
    place = target;
  } else if (isPrefix(target)) {
    place = `${target.prefix}/${target.length}`;
  } else {
    const masked = edges(target)?.first ?? target.address - (target.length === 31 ? target.address % 2 : 0);
    const bytes = [2 ** 24, 2 ** 16, 2 ** 8, 1].map((unit) => Math.floor(masked / unit) % 256);
    place = `${bytes.join(".")}/${target.length}`;
  }
  if (ports === undefined) return words + place;
  const { first, last } = ports;
  return `${words}${place}:${first === last ? first : `${first}-${last}`}`;
}

function covers(target: Cidr | Prefix | Name, remote: number | bigint, around: KnownNetwork): boolean {
  if (typeof target !== "string" && isPrefix(target) !== (typeof remote === "bigint")) return false;
  if (typeof remote === "bigint") return covers6(target as Prefix | Name, remote, around);
  switch (target) {
    case "@host":
      return remote === around.gateway;
    case "@dns":
      return around.dnsServers.includes(remote);
    case "@metadata":
      return METADATA.includes(remote);
    case "@private":
      return PRIVATE.some((network) => contains(network, remote));
    case "@global":
      return isGloballyReachable(remote) && !METADATA.includes(remote);
    default:
      return contains(target as Cidr, remote);
  }
}

function covers6(target: Prefix | Name, remote: bigint, around: KnownNetwork): boolean {
  switch (target) {
    case "@host":
      return (around.hosts6 ?? []).includes(remote);
    case "@dns":
      return (around.dnsServers6 ?? []).includes(remote);
    case "@metadata":
      return METADATA6.includes(remote);
    case "@private":
      return inPrefix(UNIQUE_LOCAL, remote) && !METADATA6.includes(remote);
    case "@global":
      return isGlobal6(remote);
    default:
      return inPrefix(target, remote);
  }
}

/** A name of hosts ranks as their addresses do. */
function rank(target: Cidr | Prefix | Name, remote: number | bigint): number {
  if (typeof target !== "string") return target.length;
  if (target === "@private" || target === "@global") return 0;
  return typeof remote === "bigint" ? 128 : 32;
}

const isPortAllow = ({ action, ports }: OracleRule) => action === "allow" && ports !== undefined;

/** A block rule that no port rule of a wider target opens. */
function closesItsAlias({ action, target, ports }: OracleRule): boolean {
  return action === "block" && ports === undefined && (target === "@private" || target === "@metadata");
}

/** Whether a rule is about nothing but addresses of a blocked alias, or about hosts that have a name of their own. */
function opensPartOf(alias: Name, target: Cidr | Prefix | Name): boolean {
  if (typeof target === "string") return target === alias || target === "@host" || target === "@dns";
  if (isPrefix(target)) {
    const whole = alias === "@private" ? [UNIQUE_LOCAL] : METADATA6.map((prefix) => ({ prefix, length: 128 }));
    return whole.some((network) => target.length >= network.length && inPrefix(network, target.prefix));
  }
  const networks = alias === "@private" ? PRIVATE : METADATA.map((address) => ({ address, length: 32 }));
  return networks.some((network) => target.length >= network.length && contains(network, target.address));
}

/** Whether a blocked alias and a rule with a port for one of its addresses meet, and which of them counts. */
export function aliasMeets(
  rules: readonly OracleRule[],
  way: Way,
  remote: number | bigint,
  port: number | undefined,
  around: KnownNetwork,
): "opens" | "shut out" | undefined {
  const counting = rules.filter((rule) => counts(rule, way, remote, port, around));
  const closed = counting.filter(closesItsAlias).map((rule) => rule.target as Name);
  const opening = counting.filter(isPortAllow);
  if (closed.length === 0 || opening.length === 0) return undefined;
  return opening.some(({ target }) => closed.every((alias) => opensPartOf(alias, target))) ? "opens" : "shut out";
}

function counts(
  rule: OracleRule,
  way: Way,
  remote: number | bigint,
  port: number | undefined,
  around: KnownNetwork,
): boolean {
  if (rule.way !== undefined && rule.way !== way) return false;
  if (!covers(rule.target, remote, around)) return false;
  if (rule.ports === undefined) return true;
  return port !== undefined && port >= rule.ports.first && port <= rule.ports.last;
}

/** The rule that decides, or undefined where none counts. `port` is undefined for what has none. */
export function ask(
  rules: readonly OracleRule[],
  way: Way,
  remote: number | bigint,
  port: number | undefined,
  around: KnownNetwork,
): OracleRule | undefined {
  const counting = rules.filter((rule) => counts(rule, way, remote, port, around));
  const closed = counting.filter(closesItsAlias).map((rule) => rule.target as Name);
  const left = counting.filter(
    (rule) => !isPortAllow(rule) || closed.every((alias) => opensPartOf(alias, rule.target)),
  );
  left.sort((a, b) => {
    if ((a.ports === undefined) !== (b.ports === undefined)) return a.ports === undefined ? 1 : -1;
    const [first, second] = [a, b].map(({ target }) => rank(target, remote));
    if (first !== second) return second! - first!;
    return a.action === b.action ? 0 : a.action === "block" ? -1 : 1;
  });
  return left[0];
}

export function isStateful(rules: readonly OracleRule[]): boolean {
  return rules.some((rule) => rule.way !== undefined);
}

export function isByPort(rules: readonly OracleRule[]): boolean {
  return rules.some((rule) => rule.way !== undefined || rule.ports !== undefined);
}
