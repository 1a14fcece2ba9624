/**
 * What somebody who is not root may ask of a softnet that has root's rights, through SUID or sudo: a network of its own,
 * new TAPs with names of softnet's, ports from 1024 on, some VMs. Nothing of the host's, and nobody else's, unless
 * /etc/softnet.conf has a line for it (docs/privileges.md has the table).
 *
 * Who comes through sudo and may run a shell with it asks for nothing that he could not do himself: he is root. But a
 * line in sudoers may be for softnet alone, and then he is as restricted as through SUID.
 */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { findGroup, findUser, groupsOf, userName, userOf } from "../native/linux/accounts.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { type Cidr, covers, formatCidr } from "../policy/cidr.ts";
import { PROGRAM_TIMEOUT } from "../system-program.ts";
import { UserError } from "../user-error.ts";
import type { Caller } from "./caller.ts";
import { type Grantee, type Permission, parseConf } from "./conf.ts";
import { CONF, readConf } from "./conf-file.ts";
import { findSudo } from "./sudo.ts";

/** What the names of TAPs begin with that any user may make: no rule of a firewall or network manager means them. */
export const TAP_PREFIX = "svm";

/** Softnets at once for a user of whom no line says anything. */
export const VMS_WITHOUT_LINE = 16;

/** Below it, a port is the system's (IPPORT_RESERVED). */
const FIRST_ORDINARY_PORT = 1024;
/** The host's own first port for ordinary users: it can be a higher one (ip-sysctl). */
const FIRST_UNPRIVILEGED = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
/** Ports that root keeps for programs of his, `8080,30000-32767` (ip-sysctl). */
const RESERVED = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/** What is refused without a line. */
interface Asked {
  /** As the user typed it. */
  readonly option: string;
  /** Why it is not for everybody. */
  readonly why?: string;
  /** What the user can do himself. */
  readonly instead?: string;
  /** The line that root would have to write, without user and group. */
  readonly line: string;
  readonly granted: (permission: Permission) => boolean;
}

export class Permits {
  /** Of the caller, as root writes it into a line. */
  readonly #user: string;
  readonly #libc: LinuxLibc;
  readonly #caller: Caller;
  #lines: readonly Permission[] | undefined;
  #isRoot: boolean | undefined;

  /** Undefined for callers with no other rights than their own, and for root itself. */
  static of(libc: LinuxLibc, caller: Caller): Permits | undefined {
    return caller.kind === "suid" || caller.kind === "sudo" ? new Permits(libc, caller) : undefined;
  }

  private constructor(libc: LinuxLibc, caller: Caller) {
    this.#libc = libc;
    this.#caller = caller;
    this.#user = userName(libc, caller.uid);
  }

  /** Each throws UserError, with the line that is missing, unless the caller may have that. */
  bridge(name: string): void {
    this.#require({ option: `--bridge ${name}`, line: `allow-bridge ${name}`, granted: isNamed("bridge", name) });
  }

  /** A TAP that exists, and that the caller may not attach to himself. */
  tap(name: string): void {
    this.#require({ option: `--vm-tap ${name}`, line: `allow-tap ${name}`, granted: isNamed("tap", name) });
  }

  /** An interface that a hypervisor or a container has. */
  attach(name: string): void {
    this.#require({ option: `attach ${name}`, line: `allow-attach ${name}`, granted: isNamed("attach", name) });
  }

  newTap(name: string): void {
    if (name.startsWith(TAP_PREFIX)) return;
    this.#require({
      option: `--vm-tap ${name}`,
      instead: `name it otherwise, such as ${TAP_PREFIX}0`,
      line: `allow-new-tap ${name}`,
      granted: (line) => line.what === "new-tap" && (line.isPrefix ? name.startsWith(line.name) : name === line.name),
    });
  }

  /** An external port, as far as its number says. */
  port(port: number): void {
    const first = Math.max(FIRST_ORDINARY_PORT, Number(readOrNothing(FIRST_UNPRIVILEGED)));
    if (port < first) this.portOf(port, `ports below ${first} are the system's`);
    else if (parseReserved(readOrNothing(RESERVED)).some(([begin, end]) => begin <= port && port <= end)) {
      this.portOf(port, "it is one of ip_local_reserved_ports");
    }
  }

  /** An external port that somebody else has; `why` says who. */
  portOf(port: number, why: string): void {
    this.#require({
      option: `--expose ${port}`,
      why,
      instead: "expose another",
      line: `allow-ports ${port}`,
      granted: (line) => line.what === "ports" && line.first <= port && port <= line.last,
    });
  }

  /** A subnet that is not simply free; `why` says what it is. */
  subnet(subnet: Cidr, why: string): void {
    this.#require({
      option: `--subnet ${formatCidr(subnet)}`,
      why,
      instead: "give another, or none",
      line: `allow-subnet ${formatCidr(subnet)}`,
      granted: (line) =>
        line.what === "subnet" && line.subnet.length <= subnet.length && covers(line.subnet, subnet.address),
    });
  }

  /** How many softnets the caller may run at once: what the lines for him say, else those for a group, for everybody. */
  mostVms(): number {
    const lines = this.#permissions().filter((line) => line.what === "vms");
    for (const kind of ["user", "group", "everybody"] as const satisfies readonly Grantee["kind"][]) {
      const numbers = lines.filter(({ grantee }) => grantee.kind === kind).map(({ most }) => most);
      if (numbers.length > 0) return Math.max(...numbers);
    }
    return VMS_WITHOUT_LINE;
  }

  /** As many as he may run do run. Does nothing for who may be root. */
  tooManyVms(most: number): void {
    if (this.#mayBeRoot()) return;
    throw new UserError(
      `user ${this.#user} runs ${most} softnets already, and may not run more; end one, or let root write "max-vms N user ${this.#user}" into ${CONF}`,
    );
  }

  #require({ option, why, instead, line, granted }: Asked): void {
    if (this.#permissions().some(granted) || this.#mayBeRoot()) return;
    const reason = why === undefined ? "" : ` (${why})`;
    const remedy = `let root write "${line} user ${this.#user}" into ${CONF}`;
    throw new UserError(
      `${option}: user ${this.#user} may not ask for it${reason}; ${instead === undefined ? remedy : `${instead}, or ${remedy}`}`,
    );
  }

  #permissions(): readonly Permission[] {
    this.#lines ??= parseConf(readConf(), CONF).filter((line) => isFor(this.#libc, this.#caller, line));
    return this.#lines;
  }

  #mayBeRoot(): boolean {
    this.#isRoot ??= mayBeRoot(this.#libc, this.#caller);
    return this.#isRoot;
  }
}

/** Pure: the ranges of ip_local_reserved_ports, which has them in order with commas. */
export function parseReserved(text: string): (readonly [first: number, last: number])[] {
  return [...text.matchAll(/(\d+)(?:-(\d+))?/g)].map(([, first, last = first]) => [Number(first), Number(last)]);
}

function isNamed(what: "bridge" | "tap" | "attach", name: string): Asked["granted"] {
  return (permission) => permission.what === what && permission.name === name;
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
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
  return spawnSync(sudo, args, { stdio: "ignore", env: {}, cwd: "/", timeout: PROGRAM_TIMEOUT }).status === 0;
}
