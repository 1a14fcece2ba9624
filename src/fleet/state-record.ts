/**
 * What an agent tells of one VM, a value of the state bucket. Whoever reads it relies on nothing of it but the key that it stands at: an
 * agent may write only at keys of its own host, and its credentials may have been stolen.
 */
import { type Fields, fieldsOf, listOf } from "../operate/fields.ts";
import type { Wanted } from "./document.ts";
import { isFleetName, nameOf } from "./places.ts";
import type { VmState } from "./vm-link.ts";

/** Bytes. */
const LONGEST_RECORD = 65_536;

export type StateRecord = Fields & { readonly host: string; readonly name: string };

/** `told`: when NATS had it from the agent, ISO 8601 by the server's clock. */
export type ListedVm = StateRecord & { readonly told: string };

/** What is known of a VM now; no record where it is gone. */
export interface StateChange {
  readonly host: string;
  readonly name: string;
  readonly record: ListedVm | undefined;
}

/** What a record is made of. */
export interface Told {
  readonly host: string;
  readonly name: string;
  readonly labels: readonly string[];
  /** Which of the fleet's networks that several hosts have part in the VM is on. */
  readonly sharedNetwork: string | undefined;
  readonly wanted: Wanted | undefined;
  readonly state: VmState;
}

/** As JSON. What a VM's softnet says of itself is left out where it is too long. */
export function writeRecord({ host, name, labels, sharedNetwork, wanted, state }: Told): string {
  const { status, inForce, document, since, error, silent } = state;
  const record = {
    ...{ host, name, labels },
    ...{ wanted: wanted?.revision ?? 0, document: wanted?.key ?? null, next: wanted?.isNext ?? false },
    ...{ inForce, inForceDocument: document ?? null, since: since ?? null, error: error ?? silent ?? null },
    reachable: status !== undefined,
  };
  const seen = status && {
    ...{ mac: status.mac, binding: status.binding, ipv6: status.ipv6, network: status.network },
    ...{ sharedNetwork: sharedNetwork ?? null, uptime: status.uptime, counters: status.counters },
  };
  const text = JSON.stringify({ ...record, ...seen });
  return Buffer.byteLength(text) <= LONGEST_RECORD ? text : JSON.stringify(record);
}

/** Host and VM of a key of the state bucket; undefined for one that is none. */
export function readStateKey(key: string): { readonly host: string; readonly name: string } | undefined {
  const [host = "", name = "", more] = key.split(".").map(nameOf);
  return more === undefined && isFleetName(host) && isFleetName(name) ? { host, name } : undefined;
}

/** A value of the state bucket; undefined for one that is none. Host and name are the key's. */
export function readRecord(key: string, value: Uint8Array): StateRecord | undefined {
  const place = readStateKey(key);
  if (place === undefined || value.length > LONGEST_RECORD) return undefined;
  try {
    const record: unknown = JSON.parse(Buffer.from(value).toString());
    return typeof record === "object" && record !== null ? { ...fieldsOf(record), ...place } : undefined;
  } catch {
    return undefined; // an agent of another version
  }
}

export function labelsOf({ labels }: Fields): string[] {
  const isLabel = (label: unknown): label is string => typeof label === "string" && isFleetName(label);
  return listOf(labels).filter(isLabel).slice(0, 16);
}
