/** What the attacks by IPv6 need in addition (requirements.ts): a kernel that has it. */
import { existsSync } from "node:fs";

/** The end of a sentence; undefined where nothing is missing. `settings`: where this kernel has those of IPv6. */
export function whyNoIPv6(settings = "/proc/sys/net/ipv6"): string | undefined {
  if (existsSync(`${settings}/conf/all/disable_ipv6`)) return undefined;
  return "this kernel has no IPv6: start it without ipv6.disable=1";
}
