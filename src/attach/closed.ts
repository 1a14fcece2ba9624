/** Which interfaces of this network namespace softnets have left closed when they ended: what `softnet list` prints. */
import type { LinuxLibc } from "../native/linux/libc.ts";
import { nameOf } from "./put-back.ts";
import { AttachRecords } from "./record.ts";

export interface ClosedInterface {
  /** Its name of now. */
  readonly name: string;
  /** The VM's MAC address. */
  readonly mac: string;
  /** The bridge that it was on. */
  readonly bridge?: string;
}

/** `directory`: the registry's. */
export function closedInterfaces(libc: LinuxLibc, directory: string): ClosedInterface[] {
  const records = new AttachRecords(libc, directory);
  return records.list().flatMap((record) => {
    const name = records.isLive(record.index) ? undefined : nameOf(libc, record);
    const { mac, bridge } = record;
    return name === undefined ? [] : { name, mac, ...(bridge !== undefined && { bridge }) };
  });
}
