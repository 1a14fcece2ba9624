/**
 * What a softnet and the host's helper say to each other: JSON, one line each, in both directions. What a softnet says is
 * not trusted, since a guest may have taken it over: each field is checked here, and what is not understood ends that
 * softnet's connection.
 *
 *   softnet                                    helper
 *   reserve  which subnet it would like    →   the /30 that it has from now on
 *   open     TAP, exposed ports, reach     →   its rules stand, and its traffic may be forwarded
 *   change   other reach                   →   the sets are changed
 *   address6 the VM's IPv6 address         →   exposed ports lead there
 *   attach   an interface that root closed →   it is this softnet's, if root's record says so
 *   start, unbridge, detach               →   see attached.ts
 *                                          ←   notices: all that is wrong at present, whenever that changes
 *                                          ←   event: something that happened on the host
 *                                          ←   route6: whether the host has an IPv6 default route, and whether a firewall of its
 *                                              drops the VM's IPv6 all the same; at first and on change
 *
 * The end of the connection is the end of the VM's network.
 */
import type { Reachable } from "../policy/reachable.ts";
import { NO_REACH6, type Range6, type Reachable6 } from "../policy/reachable6.ts";
import { parseCidr } from "../policy/rule.ts";
import { formatIPv6, parseIPv6 } from "../wire/ipv6-address.ts";
import { parsePrefix } from "./prefix.ts";
import { parseSubnet } from "./subnet.ts";

/** Which subnet: `chosen` and no other, or `preferred` where it is free, else any. All as text, `A.B.C.D/30`. */
export interface ReserveRequest {
  readonly kind: "reserve";
  readonly chosen?: string;
  readonly preferred?: string;
  /** Addresses in host order that must not be in it. */
  readonly avoid: readonly number[];
  /** An IPv6 prefix, too. */
  readonly ipv6?: boolean;
  /** The one of before, `X:X:X:X::/64`, where it is free. */
  readonly preferred6?: string;
}

export interface OpenRequest {
  readonly kind: "open";
  /** The TAP's name. */
  readonly tap: string;
  /** False: a network that leads to the host only. */
  readonly nat: boolean;
  /** External port, the VM's port. */
  readonly exposures: readonly (readonly [external: number, internal: number])[];
  /** Connections that the VM may have at once. */
  readonly connections: number;
  readonly reach: Reachable;
  /** Only where the VM has an IPv6 prefix, and always there. */
  readonly reach6?: Reachable6;
}

export interface ChangeRequest {
  readonly kind: "change";
  readonly reach: Reachable;
  readonly reach6?: Reachable6;
}

/** Undefined: the VM has no IPv6 address. */
export interface AddressRequest {
  readonly kind: "address6";
  readonly address?: bigint;
}

/** An attached interface, by number; `token` is what its record knows the hash of. */
export interface AttachRequest {
  readonly kind: "attach";
  readonly index: number;
  readonly token: string;
}

/** What becomes of the attached interface. */
export interface AttachedRequest {
  readonly kind: "start" | "unbridge" | "detach";
}

export type Request = ReserveRequest | OpenRequest | ChangeRequest | AddressRequest | AttachRequest | AttachedRequest;

/** The helper's reply to a request; `error` is for people. */
export interface Reply {
  readonly kind: "reply";
  readonly error?: string;
  /** Of `reserve`. `inside`: a wider route of the host's that covers it. */
  readonly subnet?: string;
  readonly inside?: string;
  /** Of `reserve` with IPv6; absent where the host's kernel has none. */
  readonly prefix6?: string;
}

export interface Notices {
  readonly kind: "notices";
  readonly notices: readonly string[];
}

/** Something that happened on the host. */
export interface Event {
  readonly kind: "event";
  readonly event: string;
}

/** Whether the host has an IPv6 default route. */
export interface Route6 {
  readonly kind: "route6";
  readonly present: boolean;
  /** Whether another firewall drops what a VM cannot do without; missing as long as that is not known. */
  readonly closed?: boolean;
}

/** The helper's first byte: the socket that owns the table comes with it; or what is wrong, as a reply, behind it. */
export const HELLO = 0x2b;
export const FAILURE = 0x2d;

const FROM_HELPER: ReadonlySet<unknown> = new Set(["reply", "notices", "event", "route6"]);

/** TAPs that softnet makes for networks of its own. */
const TAP = /^softnet[0-9a-z]{1,8}$/;
const MOST_EXPOSURES = 256;
/** Ranges of a set: several times what the most rules of a policy come to. */
const MOST_RANGES = 16_384;
const MOST_AVOIDED = 64;
export const MOST_CONNECTIONS = 65_536;

/** IPv6 addresses go as text: JSON has no numbers of that size. */
export function encode(message: Request | Reply | Notices | Event | Route6): Buffer {
  const text = JSON.stringify(message, (_key, value) => (typeof value === "bigint" ? formatIPv6(value) : value));
  return Buffer.from(`${text}\n`);
}

/** Undefined for what is no request. */
export function parseRequest(line: Uint8Array): Request | undefined {
  const message = parseObject(line);
  if (message?.kind === "reserve") return parseReserve(message);
  if (message?.kind === "open") return parseOpen(message);
  if (message?.kind === "attach") return parseAttach(message);
  if (message?.kind === "start" || message?.kind === "unbridge" || message?.kind === "detach") {
    return { kind: message.kind };
  }
  if (message?.kind === "address6") return parseAddressRequest(message);
  if (message?.kind !== "change") return undefined;
  const reach = parseReach(message.reach);
  const reach6 = message.reach6 === undefined ? NO_REACH6 : parseReach6(message.reach6);
  if (reach === undefined || reach6 === undefined) return undefined;
  return { kind: "change", reach, ...(message.reach6 !== undefined && { reach6 }) };
}

/** Undefined for what is none of these. The helper is trusted: softnet started it. */
export function parseReply(line: Uint8Array): Reply | Notices | Event | Route6 | undefined {
  const message = parseObject(line);
  const known = FROM_HELPER.has(message?.kind);
  return known ? (message as unknown as Reply | Notices | Event | Route6) : undefined;
}

function parseObject(line: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(line).toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function parseReserve(message: Readonly<Record<string, unknown>>): ReserveRequest | undefined {
  const { chosen, preferred, avoid, ipv6 = false, preferred6 } = message;
  if (typeof ipv6 !== "boolean" || !isOptionalPrefix(preferred6)) return undefined;
  if (!isOptionalSubnet(chosen) || !isOptionalSubnet(preferred)) return undefined;
  if (!Array.isArray(avoid) || avoid.length > MOST_AVOIDED || !avoid.every(isAddress)) return undefined;
  return {
    kind: "reserve",
    avoid,
    ...(chosen !== undefined && { chosen }),
    ...(preferred !== undefined && { preferred }),
    ...(ipv6 && { ipv6 }),
    ...(preferred6 !== undefined && { preferred6 }),
  };
}

function parseOpen(message: Readonly<Record<string, unknown>>): OpenRequest | undefined {
  const { tap, nat, exposures, connections } = message;
  const reach = parseReach(message.reach);
  const reach6 = message.reach6 === undefined ? NO_REACH6 : parseReach6(message.reach6);
  if (reach6 === undefined) return undefined;
  if (reach === undefined || typeof tap !== "string" || !TAP.test(tap) || typeof nat !== "boolean") return undefined;
  if (!isWhole(connections, 1, MOST_CONNECTIONS)) return undefined;
  if (!Array.isArray(exposures) || exposures.length > MOST_EXPOSURES) return undefined;
  const isPair = (pair: unknown): boolean => Array.isArray(pair) && pair.length === 2 && pair.every(isPort);
  if (!exposures.every(isPair)) return undefined;
  const ipv6 = message.reach6 !== undefined && { reach6 };
  return { kind: "open", tap, nat, exposures, connections, reach, ...ipv6 };
}

function parseAddressRequest({ address }: Readonly<Record<string, unknown>>): AddressRequest | undefined {
  if (address === undefined) return { kind: "address6" };
  const parsed = parseAddress6(address);
  return parsed === undefined ? undefined : { kind: "address6", address: parsed };
}

function parseAttach({ index, token }: Readonly<Record<string, unknown>>): AttachRequest | undefined {
  if (!isWhole(index, 1, 0x7fffffff) || typeof token !== "string" || !/^[0-9a-f]{64}$/.test(token)) return undefined;
  return { kind: "attach", index, token };
}

function parseReach(value: unknown): Reachable | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { allowed, answerable, closed, dns } = value as Readonly<Record<string, unknown>>;
  if (!isRanges(allowed) || !isRanges(answerable) || !isRanges(closed) || !isRanges(dns)) return undefined;
  return { allowed, answerable, closed, dns };
}

function parseReach6(value: unknown): Reachable6 | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const lists = value as Readonly<Record<string, unknown>>;
  const [allowed, answerable, closed, dns] = [lists.allowed, lists.answerable, lists.closed, lists.dns].map(
    parseRanges6,
  );
  if (!allowed || !answerable || !closed || !dns) return undefined;
  return { allowed, answerable, closed, dns };
}

function parseRanges6(value: unknown): Range6[] | undefined {
  if (!Array.isArray(value) || value.length > MOST_RANGES) return undefined;
  const ranges: Range6[] = [];
  for (const range of value) {
    if (!Array.isArray(range) || range.length !== 2) return undefined;
    const [first, last] = range.map(parseAddress6);
    if (first === undefined || last === undefined || first > last) return undefined;
    ranges.push([first, last]);
  }
  return ranges;
}

const parseAddress6 = (value: unknown): bigint | undefined =>
  typeof value === "string" ? parseIPv6(value) : undefined;

function isOptionalPrefix(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === "string" && parsePrefix(value) !== undefined);
}

function isRanges(value: unknown): value is Reachable["allowed"] {
  if (!Array.isArray(value) || value.length > MOST_RANGES) return false;
  return value.every(
    (range) => Array.isArray(range) && range.length === 2 && range.every(isAddress) && range[0] <= range[1],
  );
}

function isOptionalSubnet(value: unknown): value is string | undefined {
  return (
    value === undefined ||
    (typeof value === "string" && parseCidr(value) !== undefined && parseSubnet(value) !== undefined)
  );
}

function isWhole(value: unknown, least: number, most: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
}

const isAddress = (value: unknown): value is number => isWhole(value, 0, 0xffffffff);
const isPort = (value: unknown): value is number => isWhole(value, 1, 0xffff);
