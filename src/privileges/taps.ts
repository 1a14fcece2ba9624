/** Which user may attach to a TAP without privileges (drivers/net/tun.c, tun_not_capable). */
import { accessSync, constants } from "node:fs";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { type Link, Links } from "../native/linux/links.ts";

const DEVICE = "/dev/net/tun";

export interface Account {
  readonly uid: number;
  readonly groups: readonly number[];
}

/** Whether there is such an interface, and whether that user may open it as a TAP. */
export function lookAtTap(libc: LinuxLibc, name: string, account: Account): { exists: boolean; open: boolean } {
  const links = new Links(libc);
  try {
    const link = /^[^\s/:%]{1,15}$/.test(name) ? links.byName(name) : undefined;
    return { exists: link !== undefined, open: link?.kind === "tun" && mayAttach(link, account) && mayOpenDevice() };
  } finally {
    links.close();
  }
}

export function mayAttach({ owner, group }: Pick<Link, "owner" | "group">, { uid, groups }: Account): boolean {
  return (owner === undefined || owner === uid) && (group === undefined || groups.includes(group));
}

/** access(2) checks the real user id: through SUID that is the caller's. */
function mayOpenDevice(): boolean {
  try {
    accessSync(DEVICE, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
