/**
 * Names of the registry's files: the network's hash, so that only one network's files are opened, then the VM's MAC.
 */
import { createHash } from "node:crypto";

/** The prefix of a network's file names, or of one VM's on it. */
export function namePrefix(network: string, mac?: number): string {
  const hash = createHash("sha256").update(network).digest("hex").slice(0, 16);
  return mac === undefined ? `${hash}-` : `${hash}-${mac.toString(16).padStart(12, "0")}`;
}

/** Behind the name of a VM's record: the file with the addresses of names that the VM has looked up. */
export const PAIRS_SUFFIX = ".pairs";
