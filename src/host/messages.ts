/**
 * What a softnet and the host's helper say to each other: JSON, one line each, in both directions. What a softnet says is
 * not trusted, since a guest may have taken it over: each field is checked here, and what is not understood ends that
 * softnet's connection.
 *
 *   softnet                                    helper
 *   reserve  which subnet it would like    →   the /30 that it has from now on
 *   open     TAP, exposed ports, reach     →   its rules stand, and its traffic may be forwarded
 *   change   other reach                   →   the sets are changed
 *   attach   an interface that root closed →   it is this softnet's, if root's record says so
 *   start, unbridge, detach               →   see attached.ts
 *                                          ←   notices: all that is wrong at present, whenever that changes
 *                                          ←   event: something that happened on the host
 *
 * The end of the connection is the end of the VM's network.
 */
import type { Reachable } from "../policy/reachable.ts";
import { parseCidr } from "../policy/rule.ts";
import { parseSubnet } from "./subnet.ts";

/** Which subnet: `chosen` and no other, or `preferred` where it is free, else any. All as text, `A.B.C.D/30`. */
export interface ReserveRequest {
  readonly kind: "reserve";
  readonly chosen?: string;
  readonly preferred?: string;
  /** Addresses in host order that must not be in it. */
  readonly avoid: readonly number[];
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
}

export interface ChangeRequest {
  readonly kind: "change";
  readonly reach: Reachable;
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

export type Request = ReserveRequest | OpenRequest | ChangeRequest | AttachRequest | AttachedRequest;

/** The helper's reply to a request; `error` is for people. */
export interface Reply {
  readonly kind: "reply";
  readonly error?: string;
  /** Of `reserve`. `inside`: a wider route of the host's that covers it. */
  readonly subnet?: string;
  readonly inside?: string;
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

/** The helper's first byte: the socket that owns the table comes with it; or what is wrong, as a reply, behind it. */
export const HELLO = 0x2b;
export const FAILURE = 0x2d;

/** TAPs that softnet makes for networks of its own. */
const TAP = /^softnet[0-9a-z]{1,8}$/;
const MOST_EXPOSURES = 256;
/** Ranges of a set: several times what the most rules of a policy come to. */
const MOST_RANGES = 16_384;
const MOST_AVOIDED = 64;
export const MOST_CONNECTIONS = 65_536;

export function encode(message: Request | Reply | Notices | Event): Buffer {
  return Buffer.from(`${JSON.stringify(message)}\n`);
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
  if (message?.kind !== "change") return undefined;
  const reach = parseReach(message.reach);
  return reach && { kind: "change", reach };
}

/** Undefined for what is none of these. The helper is trusted: softnet started it. */
export function parseReply(line: Uint8Array): Reply | Notices | Event | undefined {
  const message = parseObject(line);
  const known = message?.kind === "reply" || message?.kind === "notices" || message?.kind === "event";
  return known ? (message as unknown as Reply | Notices | Event) : undefined;
}

function parseObject(line: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(line).toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function parseReserve({ chosen, preferred, avoid }: Readonly<Record<string, unknown>>): ReserveRequest | undefined {
  if (!isOptionalSubnet(chosen) || !isOptionalSubnet(preferred)) return undefined;
  if (!Array.isArray(avoid) || avoid.length > MOST_AVOIDED || !avoid.every(isAddress)) return undefined;
  return {
    kind: "reserve",
    avoid,
    ...(chosen !== undefined && { chosen }),
    ...(preferred !== undefined && { preferred }),
  };
}

function parseOpen(message: Readonly<Record<string, unknown>>): OpenRequest | undefined {
  const { tap, nat, exposures, connections } = message;
  const reach = parseReach(message.reach);
  if (reach === undefined || typeof tap !== "string" || !TAP.test(tap) || typeof nat !== "boolean") return undefined;
  if (!isWhole(connections, 1, MOST_CONNECTIONS)) return undefined;
  if (!Array.isArray(exposures) || exposures.length > MOST_EXPOSURES) return undefined;
  const isPair = (pair: unknown): boolean => Array.isArray(pair) && pair.length === 2 && pair.every(isPort);
  if (!exposures.every(isPair)) return undefined;
  return { kind: "open", tap, nat, exposures, connections, reach };
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
