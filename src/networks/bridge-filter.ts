/**
 * A host that shows bridged IPv4 to its firewall (br_netfilter, `bridge-nf-call-iptables`, as Docker and Kubernetes turn it
 * on): what a VM sends over the bridge then passes the chains for forwarded packets, and one that drops what it does not
 * know leaves the VM without DHCP. Only a warning: the bridge is not softnet's.
 */
import { readFileSync } from "node:fs";
import { findBlocks, readFirewalls } from "../host/firewalls/firewalls.ts";

/** Warns where a firewall drops what the VM sends over the bridge. Never rejects. */
export async function warnOfFilteredBridge(
  tap: string,
  bridge: string,
  warn: (message: string) => void,
): Promise<void> {
  if (!isFiltered(bridge)) return;
  try {
    for (const { text } of findBlocks(await readFirewalls(), { mode: "bridge", tap, bridge })) warn(text);
  } catch {
    // Without nft there is no telling.
  }
}

function isFiltered(bridge: string): boolean {
  const switches = ["/proc/sys/net/bridge/bridge-nf-call-iptables", `/sys/class/net/${bridge}/bridge/nf_call_iptables`];
  return switches.some((path) => {
    try {
      return readFileSync(path, "latin1").trim() === "1";
    } catch {
      return false;
    }
  });
}
