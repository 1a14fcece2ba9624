/**
 * What somebody who is not root may ask of a softnet that has root's rights, through SUID or sudo: a network of its own,
 * but no bridge, no TAP of somebody else's and no port below 1024, unless /etc/softnet.conf has a line for it.
 *
 * Who comes through sudo and may run a shell with it asks for nothing that he could not do himself: he is root. But a
 * line in sudoers may be for softnet alone, and then he is as restricted as through SUID.
 */
import { spawnSync } from "node:child_process";
import { findGroup, findUser, groupsOf, userName, userOf } from "../native/linux/accounts.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { UserError } from "../user-error.ts";
import type { Caller } from "./caller.ts";
import { type Permission, parseConf } from "./conf.ts";
import { CONF, readConf } from "./conf-file.ts";
import { findSudo } from "./sudo.ts";

/** Below it, a port is the system's (IPPORT_RESERVED). */
const FIRST_ORDINARY_PORT = 1024;
const PATIENCE = 10_000; // milliseconds

/** What needs a permission; each as the user typed it, for the error. */
export interface Request {
  readonly bridge?: string | undefined;
  /** A TAP that exists, and that the caller may not attach to himself. */
  readonly tap?: string | undefined;
  /** External TCP ports to expose. */
  readonly ports?: readonly number[];
}

interface Asked {
  readonly option: string;
  /** The line that root would have to write, without user and group. */
  readonly line: string;
  readonly granted: (permission: Permission) => boolean;
}

/** Throws UserError, with the line that is missing, unless the caller may have all of it. */
export function refuseForbidden(libc: LinuxLibc, caller: Caller, request: Request): void {
  if (caller.kind !== "suid" && caller.kind !== "sudo") return;
  const asked = [...questions(request)];
  if (asked.length === 0) return;
  const permissions = parseConf(readConf(), CONF).filter((permission) => isFor(libc, caller, permission));
  const refused = asked.find(({ granted }) => !permissions.some(granted));
  if (refused === undefined || mayBeRoot(libc, caller)) return;
  const name = userName(libc, caller.uid);
  throw new UserError(
    `${refused.option}: user ${name} may not ask for it; let root write "${refused.line} user ${name}" into ${CONF}`,
  );
}

function* questions({ bridge, tap, ports = [] }: Request): Generator<Asked> {
  if (bridge !== undefined) yield named("--bridge", "bridge", bridge);
  if (tap !== undefined) yield named("--vm-tap", "tap", tap);
  for (const port of ports) {
    if (port >= FIRST_ORDINARY_PORT) continue;
    yield {
      option: `--expose ${port}`,
      line: `allow-ports ${port}`,
      granted: (permission) => permission.what === "ports" && permission.first <= port && port <= permission.last,
    };
  }
}

function named(option: string, what: "bridge" | "tap", name: string): Asked {
  return {
    option: `${option} ${name}`,
    line: `allow-${what} ${name}`,
    granted: (permission) => permission.what === what && permission.name === name,
  };
}

function isFor(libc: LinuxLibc, caller: Caller, { grantee }: Permission): boolean {
  if (grantee.kind === "everybody") return true;
  if (grantee.kind === "user") return findUser(libc, grantee.name)?.uid === caller.uid;
  const gid = findGroup(libc, grantee.name);
  return gid !== undefined && callerGroups(libc, caller).includes(gid);
}

/** Through SUID the caller's groups are still this process's; sudo has replaced them by root's. */
function callerGroups(libc: LinuxLibc, caller: Caller): readonly number[] {
  if (caller.kind === "suid") return [caller.gid, ...process.getgroups!()];
  const user = userOf(libc, caller.uid);
  return user === undefined ? [caller.gid] : [caller.gid, ...groupsOf(libc, user)];
}

/** Whether sudo's rules let who came through it be root outside of softnet too. */
export function mayBeRoot(libc: LinuxLibc, { kind, uid }: Caller): boolean {
  const sudo = kind === "sudo" ? findSudo() : undefined;
  if (sudo === undefined) return false;
  const user = userOf(libc, uid)?.name ?? `#${uid}`;
  const args = ["--non-interactive", "--list", `--other-user=${user}`, "/bin/sh"];
  return spawnSync(sudo, args, { stdio: "ignore", env: {}, cwd: "/", timeout: PATIENCE }).status === 0;
}
