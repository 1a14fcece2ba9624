/**
 * A document of the fleet's policy: what the VMs that it is for may do, as a whole. Of several that are for a VM the most
 * specific one decides alone: its own, then those of its labels in the order in which it names them, then its host's, then
 * that of all. So nobody has to add documents up in his head to know what holds.
 *
 *   {"allow":["@dns"],"block":["@host"],"only":["registry.npmjs.org"],"limits":["out 10M/s"],
 *    "next":{"share":10, "allow":[…], …}}
 *
 * `next` is what a share of the VMs, in per cent, gets instead: a roll-out. Which they are depends on their names alone, so a larger
 * share holds all of the smaller one.
 */
import { createHash } from "node:crypto";
import { parseLimits } from "../policy/limits.ts";
import { parsePolicyRules } from "../policy/only.ts";
import { formatRule } from "../policy/rule.ts";
import { UserError } from "../user-error.ts";
import { ALL_KEY, groupKey, hostKey, vmKey } from "./places.ts";

/** Bytes. */
export const LONGEST_DOCUMENT = 262_144;

/** As the control channel takes it, rules in normal form. */
export interface Policy {
  readonly allow: readonly string[];
  readonly block: readonly string[];
  readonly limits: readonly string[];
}

export interface PolicyDocument extends Policy {
  readonly next: (Policy & { readonly share: number }) | undefined;
}

/** A VM as documents choose it. */
export interface FleetVm {
  readonly name: string;
  readonly host: string;
  readonly labels: readonly string[];
}

/** An entry of the bucket: a document, a mistake, or undefined where it was deleted. Revisions only grow. */
export interface Entry {
  readonly revision: number;
  readonly document: PolicyDocument | UserError | undefined;
}

/** What a VM should have, and why. */
export interface Wanted {
  readonly key: string | undefined;
  /** Of the last change that concerned it, also where that took a document away; 0 = none ever. */
  readonly revision: number;
  readonly policy: Policy | UserError | undefined;
  /** Whether it is among those that get `next`. */
  readonly isNext: boolean;
}

/** Reads a document. Throws UserError, which names the rule. */
export function parseDocument(text: string): PolicyDocument {
  if (Buffer.byteLength(text) > LONGEST_DOCUMENT) throw wrong(`it is longer than ${LONGEST_DOCUMENT} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong('it is no JSON; give an object such as {"allow":["@dns"],"block":["@host"]}');
  }
  const given = objectOf(value, "it", ["allow", "block", "only", "limits", "next"]);
  const { next } = given;
  return { ...policyOf(given), next: next === undefined ? undefined : readNext(next) };
}

function readNext(value: unknown): PolicyDocument["next"] {
  const given = objectOf(value, "next", ["allow", "block", "only", "limits", "share"]);
  const { share } = given;
  if (typeof share !== "number" || !Number.isInteger(share) || share < 0 || share > 100) {
    throw wrong("next.share is no whole number from 0 to 100");
  }
  return { ...policyOf(given), share };
}

function policyOf(given: Readonly<Record<string, unknown>>): Policy {
  const only = given.only === undefined ? undefined : listOf(given, "only");
  const rules = parsePolicyRules(listOf(given, "allow"), listOf(given, "block"), only);
  const limits = listOf(given, "limits");
  parseLimits(limits.join(","));
  const of = (action: "allow" | "block") => rules.filter((rule) => rule.action === action).map(formatRule);
  return { allow: of("allow"), block: of("block"), limits };
}

function objectOf(value: unknown, what: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(`${what} is no object`);
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw wrong(`the key ${JSON.stringify(unknown)} is not known; give ${known.join(", ")}`);
  return value as Readonly<Record<string, unknown>>;
}

function listOf(given: Readonly<Record<string, unknown>>, key: string): string[] {
  const list = given[key] ?? [];
  if (!Array.isArray(list) || list.some((item) => typeof item !== "string"))
    throw wrong(`${key} is no list of strings`);
  return list;
}

/** The keys that are for a VM, the most specific one first. */
export function keysFor({ name, host, labels }: FleetVm): string[] {
  return [vmKey(name), ...labels.map(groupKey), hostKey(host), ALL_KEY];
}

/** What a VM should have of these entries. */
export function wantedFor(vm: FleetVm, entries: ReadonlyMap<string, Entry>): Wanted {
  const keys = keysFor(vm);
  const revision = Math.max(0, ...keys.map((key) => entries.get(key)?.revision ?? 0));
  const key = keys.find((one) => entries.get(one)?.document !== undefined);
  const document = key === undefined ? undefined : entries.get(key)!.document;
  if (document === undefined || document instanceof UserError) {
    return { key, revision, policy: document, isNext: false };
  }
  const { next } = document;
  const isNext = next !== undefined && placeOf(vm) < next.share;
  return { key, revision, policy: isNext ? next : document, isNext };
}

/** Where a VM stands among a hundred, 0 … 99: of its host and its name alone. */
export function placeOf({ host, name }: FleetVm): number {
  return createHash("sha256").update(`${host}\0${name}`).digest().readUInt32BE(0) % 100;
}

function wrong(why: string): UserError {
  return new UserError(`the document is none: ${why}`);
}
