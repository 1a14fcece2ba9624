/**
 * What an ordinary user's options for a network of the VM's own would take from the host or from somebody else: a subnet
 * that is not simply free, ports that others publish. Asked before anything is made.
 */

import { parseSubnet } from "../../host/subnet.ts";
import type { LinuxLibc } from "../../native/linux/libc.ts";
import type { Cidr } from "../../policy/rule.ts";
import { findProgram } from "../../system-program.ts";
import { parseExposures } from "../exposures.ts";
import { hostsOwnIn, readHostsOwn } from "./hosts-own.ts";
import { includes } from "./port-ranges.ts";
import { readPublications } from "./publications.ts";

/** Each throws UserError unless the caller may have that all the same; `why` says what speaks against it. */
export interface Exceptions {
  subnet(subnet: Cidr, why: string): void;
  portOf(port: number, why: string): void;
}

/** Whether an ordinary user may have that subnet without an exception. */
export function isSimplyFree(libc: LinuxLibc, subnet: string): boolean {
  const parsed = parseSubnet(subnet);
  return parsed !== undefined && hostsOwnIn(parsed, readHostsOwn(libc)) === undefined;
}

/** Rejects with what an exception throws. `subnet` and `expose` are what the options said; what is wrong with them in themselves is reported elsewhere. */
export async function refuseOthers(
  libc: LinuxLibc,
  exceptions: Exceptions,
  { subnet, expose = "" }: { readonly subnet?: string | undefined; readonly expose?: string | undefined },
): Promise<void> {
  const chosen = subnet === undefined ? undefined : parseSubnet(subnet);
  if (chosen !== undefined) {
    const why = hostsOwnIn(chosen, readHostsOwn(libc));
    if (why !== undefined) exceptions.subnet(chosen, `it ${why}`);
  }
  const exposures = parseExposures(expose);
  if (exposures.length === 0) return;
  const publications = await readPublications(findProgram("nft", "nftables"));
  for (const { external } of exposures) {
    const other = publications.find(({ ports }) => includes(ports, external));
    if (other !== undefined) exceptions.portOf(external, `a rule in ${other.by} leads it elsewhere`);
  }
}
