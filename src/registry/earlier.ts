/** Which network of its own a VM had before: when softnet is started again under it, it is best the same one. */
import { readRecord, recordNames } from "./files.ts";
import { isOver, momentOf } from "./lifetime.ts";
import type { RegistrySystem } from "./system.ts";

/**
 * The subnets, newest first, of networks of that kind (`nat`, `host`) on which the VM with this MAC address has a lease
 * that is not over and whose softnet has ended. Empty where the registry cannot be read: it is only a wish.
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
