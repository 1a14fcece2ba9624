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

/** The host is the router there, and learns nothing from the VM. */
const CLOSED6 = [
  ["accept_ra", "0"],
  ["accept_redirects", "0"],
  ["accept_source_route", "-1"],
  ["autoconf", "0"],
  ["disable_ipv6", "0"],
] as const;

/** Sets a TAP up for one VM, before it goes up and before it gets addresses. Throws UserError. */
export function closeLink(tap: string, ipv6: boolean): void {
  for (const [setting, value] of CLOSED) setLink(tap, setting, value);
  const folder = `/proc/sys/net/ipv6/conf/${tap}`;
  if (ipv6) for (const [setting, value] of CLOSED6) write(`${folder}/${setting}`, value);
  // Without it softnet drops IPv6 both ways: the host has no link-local address on the TAP either.
  else if (existsSync(folder)) write(`${folder}/disable_ipv6`, "1");
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
