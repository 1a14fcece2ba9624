/**
 * A host that shows bridged IPv4 or IPv6 to its firewall (br_netfilter, `bridge-nf-call-iptables` and `-ip6tables`, as Docker and
 * Kubernetes turn it on): what a VM sends over the bridge then passes the chains for forwarded packets, and one that drops what it does not
 * know leaves the VM without DHCP, or without router advertisements. Only a warning: the bridge is not softnet's.
 */
import { readFileSync } from "node:fs";
import { findBlocks, readFirewalls } from "../host/firewalls/firewalls.ts";
import type { Family } from "../host/firewalls/match.ts";

export interface FilteredBridge {
  readonly tap: string;
  readonly bridge: string;
  /** Whether the VM has IPv6, too. */
  readonly ipv6: boolean;
}

const PROGRAMS: Readonly<Record<Family, string>> = { ipv4: "iptables", ipv6: "ip6tables" };

/** Warns where a firewall drops what the VM sends over the bridge. Never rejects. */
export async function warnOfFilteredBridge(
  { tap, bridge, ipv6 }: FilteredBridge,
  warn: (message: string) => void,
): Promise<void> {
  const spoken: readonly Family[] = ipv6 ? ["ipv4", "ipv6"] : ["ipv4"];
  const families = spoken.filter((family) => isFiltered(bridge, PROGRAMS[family]));
  if (families.length === 0) return;
  try {
    for (const { text } of findBlocks(await readFirewalls(), { mode: "bridge", tap, bridge, families })) warn(text);
  } catch {
    // Without nft there is no telling.
  }
}

function isFiltered(bridge: string, program: string): boolean {
  const switches = [
    `/proc/sys/net/bridge/bridge-nf-call-${program}`,
    `/sys/class/net/${bridge}/bridge/nf_call_${program}`,
  ];
  return switches.some((path) => {
    try {
      return readFileSync(path, "latin1").trim() === "1";
    } catch {
      return false;
    }
  });
}
