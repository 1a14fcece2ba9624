/** Which VM has which address on this host: the contents of `softnet list`. */
import { readRecord, recordNames } from "./files.ts";
import { expiresAt, isOver, momentOf, outlives } from "./lifetime.ts";
import type { KeptAddress } from "./record.ts";
import type { RegistrySystem } from "./system.ts";

/**
 * `live`: a softnet runs for this VM. `released`: it has ended and released the address (DHCPRELEASE). `ended`: it has
 * ended without a release. A softnet that starts again for the same VM restores bindings of the last two.
 */
export type HolderState = "live" | "released" | "ended";

export interface Holder {
  readonly network: string;
  /** 48 bits. */
  readonly mac: number;
  readonly address: number;
  readonly origin: KeptAddress["origin"];
  readonly state: HolderState;
  /** Milliseconds since 1970; Infinity = no end. */
  readonly expires: number;
  /** The softnet's process id, while it runs. */
  readonly pid?: number;
  /** The path of its control socket, while it runs. */
  readonly control?: string;
}

/**
 * All VMs with a valid lease: first those with a live softnet, then by network and address. Throws UntrustedRegistry,
 * or the system's error.
 */
export function readHolders(system: RegistrySystem): Holder[] {
  const moment = momentOf(system);
  const holders: Holder[] = [];
  for (const name of recordNames(system)) {
    const found = readRecord(system, name);
    const binding = found?.entry?.binding;
    if (found?.entry === undefined || binding === undefined || isOver(found.entry, moment)) continue;
    const { entry, live } = found;

    if (!live && !outlives(binding)) continue;
    const { network, mac, pid, control } = entry;
    const { address, origin } = binding;
    const expires = expiresAt(binding, moment); // by the present clock, which may have been set since
    const state = live ? "live" : entry.state === "released" ? "released" : "ended";
    holders.push({ network, mac, address, origin, state, expires, ...(live && { pid, ...(control && { control }) }) });
  }
  return holders.sort(inOrder);
}

const ORDER: readonly HolderState[] = ["live", "released", "ended"];

function inOrder(a: Holder, b: Holder): number {
  if (a.state !== b.state) return ORDER.indexOf(a.state) - ORDER.indexOf(b.state);
  if (a.network !== b.network) return a.network < b.network ? -1 : 1;
  return a.address - b.address || a.mac - b.mac;
}
