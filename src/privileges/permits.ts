/**
 * What a user other than root may request of a softnet that has root's rights, through SUID or sudo: a network of its
 * own, new TAPs with softnet's prefix, ports from 1024 on, a limited number of VMs. Nothing of the host's or of other
 * users', unless /etc/softnet.conf has a line for it (docs/privileges.md has the table).
 *
 * A user who may run a shell through sudo is root anyway and is not restricted. But a line in sudoers may be for
 * softnet alone; then the user is restricted as through SUID.
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

/** The name prefix of TAPs that any user may make: rules of firewalls and network managers do not match it. */
export const TAP_PREFIX = "svm";

/** Softnets at once for a user without a max-vms line. */
export const VMS_WITHOUT_LINE = 16;

/** Ports below it belong to the system (IPPORT_RESERVED). */
const FIRST_ORDINARY_PORT = 1024;
/** The host's first port for ordinary users, which may be higher (ip-sysctl). */
const FIRST_UNPRIVILEGED = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
/** Ports that root has reserved, `8080,30000-32767` (ip-sysctl). */
const RESERVED = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/** A request that is refused without a line in the file. */
interface Asked {
  /** As the user typed it. */
  readonly option: string;
  /** Why it is refused. */
  readonly why?: string;
  /** What the user can do without root. */
  readonly instead?: string;
  /** The line that root would have to write, without user and group. */
  readonly line: string;
  readonly granted: (permission: Permission) => boolean;
}

export class Permits {
  /** The caller's name, as root would write it into a line. */
  readonly #user: string;
  readonly #libc: LinuxLibc;
  readonly #caller: Caller;
  #lines: readonly Permission[] | undefined;
  #isRoot: boolean | undefined;

  /** Undefined when softnet has only the caller's own rights, and for root itself. */
  static of(libc: LinuxLibc, caller: Caller): Permits | undefined {
    return caller.kind === "suid" || caller.kind === "sudo" ? new Permits(libc, caller) : undefined;
  }

  private constructor(libc: LinuxLibc, caller: Caller) {
    this.#libc = libc;
    this.#caller = caller;
    this.#user = userName(libc, caller.uid);
  }

  /**
   * This and the following methods throw UserError, with the missing line, unless the caller may have what is named.
   */
  bridge(name: string): void {
    this.#require({ option: `--bridge ${name}`, line: `allow-bridge ${name}`, granted: isNamed("bridge", name) });
  }

  /** A TAP that exists and that the caller may not attach to without softnet. */
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

  /** An external port, judged by its number. */
  port(port: number): void {
    const first = Math.max(FIRST_ORDINARY_PORT, Number(readOrNothing(FIRST_UNPRIVILEGED)));
    if (port < first) this.portOf(port, `ports below ${first} are the system's`);
    else if (parseReserved(readOrNothing(RESERVED)).some(([begin, end]) => begin <= port && port <= end)) {
      this.portOf(port, "it is one of ip_local_reserved_ports");
    }
  }

  /** An external port that is in use by another program or user; `why` says by which. */
  portOf(port: number, why: string): void {
    this.#require({
      option: `--expose ${port}`,
      why,
      instead: "expose another",
      line: `allow-ports ${port}`,
      granted: (line) => line.what === "ports" && line.first <= port && port <= line.last,
    });
  }

  /** A subnet that is not free or not private; `why` is the reason. */
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

  /** How many softnets the caller may run at once: by the lines for the user, else for a group, else for all users. */
  mostVms(): number {
    const lines = this.#permissions().filter((line) => line.what === "vms");
    for (const kind of ["user", "group", "everybody"] as const satisfies readonly Grantee["kind"][]) {
      const numbers = lines.filter(({ grantee }) => grantee.kind === kind).map(({ most }) => most);
      if (numbers.length > 0) return Math.max(...numbers);
    }
    return VMS_WITHOUT_LINE;
  }

  /** The caller runs the allowed number already. Does nothing for a caller who may be root through sudo. */
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

/** The ranges of ip_local_reserved_ports, a comma-separated list. */
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

/** Through SUID this process still has the caller's groups; sudo has replaced them by root's. */
function callerGroups(libc: LinuxLibc, caller: Caller): readonly number[] {
  if (caller.kind === "suid") return [caller.gid, ...process.getgroups!()];
  const user = userOf(libc, caller.uid);
  return user === undefined ? [caller.gid] : [caller.gid, ...groupsOf(libc, user)];
}

/** Whether sudo's rules allow the caller to be root outside of softnet, too. */
export function mayBeRoot(libc: LinuxLibc, { kind, uid }: Caller): boolean {
  const sudo = kind === "sudo" ? findSudo() : undefined;
  if (sudo === undefined) return false;
  const user = userOf(libc, uid)?.name ?? `#${uid}`;
  const args = ["--non-interactive", "--list", `--other-user=${user}`, "/bin/sh"];
  return spawnSync(sudo, args, { stdio: "ignore", env: {}, cwd: "/", timeout: PROGRAM_TIMEOUT }).status === 0;
}
