/**
 * Rules: what `--allow` and `--block` say. A rule is an IPv4 CIDR, or `@host`, the gateway's address whatever it is at
 * the moment.
 */
import { UserError } from "../user-error.ts";
import { formatIPv4, parseIPv4 } from "../wire/address.ts";

/** An IPv4 prefix. Host bits are zero. */
export interface Cidr {
  /** Host order. */
  readonly address: number;
  /** 0 … 32. */
  readonly length: number;
}

/** What a rule is about. */
export type Target = { readonly kind: "cidr"; readonly cidr: Cidr } | { readonly kind: "host" };

export interface Rule {
  readonly action: "allow" | "block";
  readonly target: Target;
}

/** How many rules a policy may have (the control channel's limit too). */
export const MOST_RULES = 4096;

/** The netmask of a prefix length, 0 … 32. */
export function netmaskOf(length: number): number {
  return length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
}

/** The length of a contiguous netmask; undefined for any other. */
export function prefixLengthOf(netmask: number): number | undefined {
  const length = Math.clz32(~netmask);
  return netmaskOf(length) === netmask ? length : undefined;
}

/** The last address of a prefix. */
export function lastOf(cidr: Cidr): number {
  return (cidr.address | ~netmaskOf(cidr.length)) >>> 0;
}

/** The subnet of an address, where the netmask is a contiguous one and not 0. */
export function subnetOf(address: number, netmask: number): Cidr | undefined {
  const length = netmask === 0 ? undefined : prefixLengthOf(netmask);
  return length === undefined ? undefined : { address: (address & netmaskOf(length)) >>> 0, length };
}

/** Whether an address lies in a prefix. */
export function covers(cidr: Cidr, address: number): boolean {
  return (address & netmaskOf(cidr.length)) >>> 0 === cidr.address;
}

/** Parses `A.B.C.D/LENGTH`; host bits are masked. Undefined for anything else. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([\d.]+)\/(0|[1-9]\d?)$/.exec(text);
  const address = match ? parseIPv4(match[1]!) : undefined;
  const length = match ? Number(match[2]) : 33;
  if (address === undefined || length > 32) return undefined;
  return { address: (address & netmaskOf(length)) >>> 0, length };
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIPv4(cidr.address)}/${cidr.length}`;
}

/** Parses one rule's target. Throws UserError. */
export function parseRule(action: Rule["action"], text: string): Rule {
  if (text === "@host") return { action, target: { kind: "host" } };
  const cidr = parseCidr(text);
  if (cidr) return { action, target: { kind: "cidr", cidr } };
  const remedy =
    parseIPv4(text) === undefined ? "give an IPv4 CIDR such as 192.168.0.0/24, or @host" : `did you mean ${text}/32?`;
  throw new UserError(`--${action} ${JSON.stringify(text)} is not a rule: ${remedy}`);
}

/** Parses all rules of a policy or none: one bad rule refuses the set (threat row I10). Throws UserError. */
export function parseRules(allow: readonly string[], block: readonly string[]): Rule[] {
  if (allow.length + block.length > MOST_RULES) {
    throw new UserError(
      `${allow.length + block.length} rules are too many: at most ${MOST_RULES}, join neighbouring CIDRs`,
    );
  }
  return [...allow.map((text) => parseRule("allow", text)), ...block.map((text) => parseRule("block", text))];
}

/** Whether `0.0.0.0/0` is among the allowed: decides the isolation of the bridge port, once, at start. */
export function allowsEverything(rules: readonly Rule[]): boolean {
  return rules.some((rule) => rule.action === "allow" && rule.target.kind === "cidr" && rule.target.cidr.length === 0);
}
