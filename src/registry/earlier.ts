/**
 * The NAT networks that a VM had before. A softnet that is started again for a running VM should choose the same one.
 */
import { readRecord, recordNames } from "./files.ts";
import { isOver, momentOf } from "./lifetime.ts";
import type { RegistrySystem } from "./system.ts";

/**
 * The subnets, newest first, of networks of that kind (`nat`, `host`) on which the VM with this MAC address has a valid
 * lease and whose softnet has ended. Empty when the registry cannot be read, since this is only a preference.
 */
export function earlierSubnets(system: RegistrySystem, kind: string, mac: number): string[] {
  try {
    const moment = momentOf(system);
    const scope = system.networkScope();
    const network = new RegExp(`^${kind} ([0-9./]+)$`);
    return recordNames(system)
      .filter((name) => name.includes(`-${mac.toString(16).padStart(12, "0")}-`))
      .map((name) => readRecord(system, name))
      .filter((found) => found?.entry !== undefined && !found.live && !isOver(found.entry, moment))
      .toSorted((a, b) => b!.entry!.writtenSinceBoot - a!.entry!.writtenSinceBoot)
      .flatMap((found) => {
        const whole = found!.entry!.network;
        const own = scope === "" ? whole : whole.endsWith(`, ${scope}`) ? whole.slice(0, -scope.length - 2) : "";
        return network.exec(own)?.[1] ?? [];
      });
  } catch {
    return [];
  }
}
