/**
 * The second lock of an attached interface. Its programs are the first; if they are taken away, the host's own
 * TCP/IP stack sees what the VM sends, and must do nothing with it:
 *
 * - With `rp_filter`, no IPv4 packet comes in on an interface that has no address and no route (RFC 3704; ip-sysctl: the
 *   higher of this setting and that of `all` counts, and without an address both of its kinds refuse everything).
 * - The host does not reply to ARP, for none of its addresses, and forwards nothing (which whoever turns ip_forward on for
 *   all changes again; the first rule stands).
 * - There is no IPv6 on it.
 *
 * `tag` is a number for any program's use that goes with the interface. softnet writes one there that its record has too
 * (record.ts): so an interface is closed by softnet where both agree, and a new one with the number of an old one is not.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";

/** Below /proc/sys/net/, by the folder of an interface's settings. */
const CLOSED: readonly (readonly [folder: string, name: string, value: string])[] = [
  ["ipv4/conf", "rp_filter", "1"],
  ["ipv4/conf", "arp_ignore", "8"],
  ["ipv4/conf", "forwarding", "0"],
  ["ipv4/conf", "proxy_arp", "0"],
  ["ipv4/conf", "accept_local", "0"],
  ["ipv4/conf", "route_localnet", "0"],
  ["ipv6/conf", "disable_ipv6", "1"],
];

/** Settings as they were: `ipv4/conf rp_filter` → `0`. */
export type FormerSettings = Readonly<Record<string, string>>;

/** What the settings of an interface are now. */
export function readSettings(link: string): FormerSettings {
  return Object.fromEntries(
    CLOSED.flatMap(([folder, name]) => {
      const path = pathOf(folder, link, name);
      return existsSync(path) ? [[`${folder} ${name}`, readFileSync(path, "latin1").trim()]] : [];
    }),
  );
}

/** Throws what the system says, where a setting cannot be written. */
export function closeSettings(link: string): void {
  for (const [folder, name, value] of CLOSED) write(pathOf(folder, link, name), value);
}

/** Puts settings back; those that softnet never changes are left out. */
export function restoreSettings(link: string, former: FormerSettings): void {
  for (const [folder, name] of CLOSED) {
    const value = former[`${folder} ${name}`];
    if (value !== undefined && /^\d{1,10}$/.test(value)) write(pathOf(folder, link, name), value);
  }
}

/** 0 where there is no such interface, or nothing was written. */
export function readTag(link: string): number {
  try {
    return Number(readFileSync(pathOf("ipv4/conf", link, "tag"), "latin1"));
  } catch {
    return 0;
  }
}

export function writeTag(link: string, tag: number): void {
  writeFileSync(pathOf("ipv4/conf", link, "tag"), String(tag));
}

function pathOf(folder: string, link: string, name: string): string {
  return `/proc/sys/net/${folder}/${link}/${name}`;
}

/** A kernel without IPv6 has nothing to close. */
function write(path: string, value: string): void {
  if (!existsSync(path) || readFileSync(path, "latin1").trim() === value) return;
  writeFileSync(path, value);
}
