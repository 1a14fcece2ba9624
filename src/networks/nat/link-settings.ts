/** The IPv4 and IPv6 settings of one interface (kernel documentation, networking/ip-sysctl). */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { UserError } from "../../user-error.ts";

/** The VM sees nothing of the host's other addresses, and only its own comes from it, whatever the host's defaults are. */
const CLOSED = [
  ["accept_redirects", "0"],
  ["accept_source_route", "0"],
  ["arp_ignore", "1"],
  ["proxy_arp", "0"],
  ["rp_filter", "1"],
  ["send_redirects", "0"],
] as const;

/** Sets a TAP up for one VM, before it goes up. Throws UserError. */
export function closeLink(tap: string): void {
  for (const [setting, value] of CLOSED) setLink(tap, setting, value);
  // softnet drops IPv6 both ways: the host has no link-local address on the TAP either.
  const path = `/proc/sys/net/ipv6/conf/${tap}/disable_ipv6`;
  if (existsSync(path)) write(path, "1");
}

/** Sets one of the TAP's own IPv4 settings. Throws UserError. */
export function setLink(tap: string, name: string, value: string): void {
  write(`/proc/sys/net/ipv4/conf/${tap}/${name}`, value);
}

function write(path: string, value: string): void {
  try {
    if (readFileSync(path, "utf8").trim() !== value) writeFileSync(path, value);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const remedy =
      code === "EROFS" ? "mount /proc/sys for writing (in a container: run it privileged)" : "run softnet as root";
    throw new UserError(`cannot set ${path} to ${value}: ${message}; ${remedy}`);
  }
}
