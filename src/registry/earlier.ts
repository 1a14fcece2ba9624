/**
 * The NAT networks that a VM had before. A softnet that is started again for a running VM should choose the same one.
 */
import { isLinkLocalAddress } from "../wire/ipv6-address.ts";
import { readRecord, recordNames } from "./files.ts";
import { isOver, type Moment, momentOf, restorable } from "./lifetime.ts";
import type { Entry } from "./record.ts";
import type { RegistrySystem } from "./system.ts";

export interface EarlierNetwork {
  readonly subnet: string;
  /** An IPv6 address of the VM's that is not link-local, where it had one. */
  readonly address6: bigint | undefined;
}

/**
 * The networks, newest first, of that kind (`nat`, `host`) on which the VM with this MAC address has a valid
 * lease, or an IPv6 address, and whose softnet has ended. Empty when the registry cannot be read, since this is only a preference.
 */
export function earlierNetworks(system: RegistrySystem, kind: string, mac: number): EarlierNetwork[] {
  try {
    const moment = momentOf(system);
    const scope = system.networkScope();
    const network = new RegExp(`^${kind} ([0-9./]+)$`);
    return recordNames(system)
      .filter((name) => name.includes(`-${mac.toString(16).padStart(12, "0")}-`))
      .map((name) => readRecord(system, name))
      .filter((found) => found?.entry !== undefined && !found.live && counts(found.entry, moment))
      .toSorted((a, b) => b!.entry!.writtenSinceBoot - a!.entry!.writtenSinceBoot)
      .flatMap((found) => {
        const entry = found!.entry!;
        const whole = entry.network;
        const own = scope === "" ? whole : whole.endsWith(`, ${scope}`) ? whole.slice(0, -scope.length - 2) : "";
        const subnet = network.exec(own)?.[1];
        return subnet === undefined ? [] : { subnet, address6: routableAddress(entry, moment) };
      });
  } catch {
    return [];
  }
}

function counts(entry: Entry, moment: Moment): boolean {
  return !isOver(entry, moment) || restorable(entry, moment).length > 0;
}

function routableAddress(entry: Entry, moment: Moment): bigint | undefined {
  return restorable(entry, moment)
    .map(({ address }) => address)
    .find((address) => typeof address === "bigint" && !isLinkLocalAddress(address)) as bigint | undefined;
}
