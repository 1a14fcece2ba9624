/** Which VM has which address on this host, and which VMs have a running softnet: the contents of `softnet list`. */
import { readRecord, recordNames } from "./files.ts";
import { expiresAt, type Kept, momentOf, outlives, whyOver } from "./lifetime.ts";
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
  /** A number is IPv4's, a bigint IPv6's. */
  readonly address: number | bigint;
  readonly origin: Kept["origin"];
  readonly state: HolderState;
  /** Milliseconds since 1970; Infinity = no end. */
  readonly expires: number;
  /** The softnet's process id, while it runs. */
  readonly pid?: number;
  /** The path of its control socket, while it runs. */
  readonly control?: string;
}

/**
 * All VMs with a valid lease: first those with a live softnet, then by network and address, IPv4 before IPv6. Throws UntrustedRegistry,
 * or the system's error.
 */
export function readHolders(system: RegistrySystem): Holder[] {
  const moment = momentOf(system);
  const holders: Holder[] = [];
  for (const name of recordNames(system)) {
    const found = readRecord(system, name);
    if (found?.entry === undefined) continue;
    const { entry, live } = found;
    const { network, mac, pid, control, binding, ipv6 = [] } = entry;
    for (const kept of binding === undefined ? ipv6 : [binding, ...ipv6]) {
      if (whyOver(entry, kept, moment) !== undefined || (!live && !outlives(kept))) continue;
      const { address, origin } = kept;
      const expires = expiresAt(kept, moment); // by the present clock, which may have been set since
      const state = live ? "live" : entry.state === "released" && kept === binding ? "released" : "ended";
      const softnet = live && { pid, ...(control && { control }) };
      holders.push({ network, mac, address, origin, state, expires, ...softnet });
    }
  }
  return holders.sort(inOrder);
}

/** A VM whose softnet runs and has a record, whether it has an address or not. */
export interface LiveVm {
  readonly network: string;
  /** 48 bits. */
  readonly mac: number;
  readonly pid: number;
  readonly name?: string;
  /** The path of its control socket. */
  readonly control?: string;
  /** A number is IPv4's, a bigint IPv6's. */
  readonly addresses: readonly (number | bigint)[];
}

/** All VMs with a live softnet, in the order of the records' names. Throws as `readHolders`. */
export function readLive(system: RegistrySystem): LiveVm[] {
  const moment = momentOf(system);
  return recordNames(system).flatMap((file) => {
    const found = readRecord(system, file);
    if (found?.entry === undefined || !found.live) return [];
    const { entry } = found;
    const { network, mac, pid, control, name, binding, ipv6 = [] } = entry;
    const addresses = (binding === undefined ? ipv6 : [binding, ...ipv6])
      .filter((kept) => whyOver(entry, kept, moment) === undefined)
      .map(({ address }) => address);
    return [{ network, mac, pid, addresses, ...(name && { name }), ...(control && { control }) }];
  });
}

const ORDER: readonly HolderState[] = ["live", "released", "ended"];

function inOrder(a: Holder, b: Holder): number {
  if (a.state !== b.state) return ORDER.indexOf(a.state) - ORDER.indexOf(b.state);
  if (a.network !== b.network) return a.network < b.network ? -1 : 1;
  if (typeof a.address !== typeof b.address) return typeof a.address === "number" ? -1 : 1;
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.mac - b.mac;
}
