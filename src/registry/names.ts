/** Names of the registry's files: the network's hash, so that other networks' need not be opened, then the VM's MAC. */
import { createHash } from "node:crypto";

/** What the names of a network's files begin with, or of one VM's there. */
export function namePrefix(network: string, mac?: number): string {
  const hash = createHash("sha256").update(network).digest("hex").slice(0, 16);
  return mac === undefined ? `${hash}-` : `${hash}-${mac.toString(16).padStart(12, "0")}`;
}
