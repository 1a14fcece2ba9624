/** Makes the table of all VMs (table.ts). */
import type { Nftables } from "../native/linux/libnftables.ts";
import { TABLE_NAMES, tableCommands } from "./table.ts";

/** Makes the table under the first name that is free. Returns the name; throws Error when nft refuses. */
export function makeTable(nft: Nftables): string {
  let error: string | undefined;
  for (const name of TABLE_NAMES) {
    error = nft.run(tableCommands(name));
    if (error === undefined) return name;
    if (!/File exists|Operation not permitted/.test(error)) break;
  }
  throw new Error(`nft refuses the table of the VMs: ${error}`);
}
