/**
 * Users and groups by name and by number, from the system's sources (getpwnam(3): files, LDAP …). Darwin's structures
 * begin as Linux's do, so both libraries can be used (test/native/darwin.test.ts compares them).
 */
import koffi from "koffi";
import { GROUP, type LinuxLibc, PASSWD } from "./libc.ts";

/** The C library's functions that are needed. */
export type AccountsLibc = Pick<LinuxLibc, "getpwnam" | "getpwuid" | "getgrnam" | "getgrgid" | "getgrouplist">;

export interface User {
  readonly name: string;
  readonly uid: number;
  /** The primary group. */
  readonly gid: number;
}

export interface Group {
  readonly name: string;
  readonly gid: number;
}

/** A user by name, else by number; a number needs no account: then `gid` is undefined. */
export function findUser(libc: AccountsLibc, text: string): { uid: number; gid: number | undefined } | undefined {
  const user = toUser(libc.getpwnam(text));
  if (user !== undefined) return user;
  const uid = identifier(text);
  return uid === undefined ? undefined : { uid, gid: userOf(libc, uid)?.gid };
}

/** A group's number by name, else by number; a number needs no entry. */
export function findGroup(libc: AccountsLibc, text: string): number | undefined {
  return toGroup(libc.getgrnam(text))?.gid ?? identifier(text);
}

export function userOf(libc: AccountsLibc, uid: number): User | undefined {
  return toUser(libc.getpwuid(uid));
}

export function groupOf(libc: AccountsLibc, gid: number): Group | undefined {
  return toGroup(libc.getgrgid(gid));
}

/** The name, or the number of a user without one. */
export function userName(libc: AccountsLibc, uid: number): string {
  return userOf(libc, uid)?.name ?? String(uid);
}

/** The name, or the number of a group without one. */
export function groupName(libc: AccountsLibc, gid: number): string {
  return groupOf(libc, gid)?.name ?? String(gid);
}

/** Every group that a user is in, the primary one included. */
export function groupsOf(libc: AccountsLibc, { name, gid }: User): number[] {
  for (let room = 64; room <= 65_536; room *= 4) {
    const groups = new Uint32Array(room);
    const count: [number] = [room];
    if (libc.getgrouplist(name, gid, groups, count) >= 0) return [...groups.subarray(0, count[0])];
  }
  return [gid];
}

/** A user's or group's number: decimal; the largest means "no change" to the kernel. */
function identifier(text: string): number | undefined {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value < 0xffffffff ? value : undefined;
}

function toUser(address: bigint | null): User | undefined {
  if (address === null) return undefined;
  const view = new DataView(koffi.view(address, PASSWD.size));
  return { name: nameAt(view), uid: view.getUint32(PASSWD.uid, true), gid: view.getUint32(PASSWD.gid, true) };
}

function toGroup(address: bigint | null): Group | undefined {
  if (address === null) return undefined;
  const view = new DataView(koffi.view(address, GROUP.size));
  return { name: nameAt(view), gid: view.getUint32(GROUP.gid, true) };
}

/** The string that the struct's first word points to. */
function nameAt(view: DataView): string {
  return koffi.decode(view.getBigUint64(0, true), "char", -1) as string;
}
