/**
 * What the part behind NAT needs in addition (requirements.ts): nft, and a kernel that accepts softnet's rules. Without
 * them the demo skips this part and prints the reason in one line.
 */
import { TABLE_NAMES, tableCommands } from "../host/table.ts";
import { findProgram } from "../system-program.ts";
import { tryIp } from "./ip.ts";
import { Namespace } from "./namespace.ts";

/** The end of a sentence with the remedy; undefined where nothing is missing. */
export function whyNoNat(): string | undefined {
  let nft: string;
  try {
    nft = findProgram("nft", "nftables");
  } catch {
    return "nft is not installed; install it, on Debian with: apt-get install nftables";
  }
  const error = tryRules(nft);
  if (error === undefined) return undefined;
  return `nft does not work here (${error}); it needs a kernel with nftables, 5.12 or newer, and: apt-get install nftables`;
}

/** nft's own words when it does not take the rules. */
function tryRules(nft: string): string | undefined {
  const namespace = new Namespace("check");
  try {
    const rules = tableCommands(TABLE_NAMES[0]!).join("\n");
    return tryIp(["netns", "exec", namespace.name, nft, "-f", "-"], rules).failure;
  } finally {
    namespace.delete();
  }
}
