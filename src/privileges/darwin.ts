/**
 * How softnet on macOS gets and gives up root's rights. privileges.ts describes the steps; the differences are:
 *
 * - Only the network needs root, and a private network does not if the executable has the virtualization entitlement.
 *   So without root a private network is tried first, and root's rights are requested only when vmnet refuses.
 * - /etc/softnet.conf has nothing to allow: there are no bridges and TAPs, and external ports are vmnet's, not the
 *   host's.
 * - Ids belong to the process, not to each thread, and there are no capabilities.
 * - No signal reports that sudo has ended, so its process id is checked repeatedly.
 */
import { describeError } from "../native/darwin/errno.ts";
import type { DarwinLibc } from "../native/darwin/libc.ts";
import { findUser, groupName, userName } from "../native/linux/accounts.ts";
import { UserError } from "../user-error.ts";
import { actAs } from "./act-as.ts";
import { becomesRoot } from "./becomes-root.ts";
import { type Caller, identifyCaller, processIds } from "./caller.ts";
import { escalate } from "./escalation.ts";
import { findNeeds, type Needs } from "./needs.ts";
import { moves, type PrivilegeArguments, type PrivilegeWalk } from "./privileges.ts";
import { chooseTarget, type Target } from "./target.ts";

/** Milliseconds between two checks whether sudo still runs. */
const LOOK = 500;

/** Darwin's user nobody: -2, as an unsigned 32-bit number. */
const NOBODY = 2 ** 32 - 2;

export class DarwinPrivileges implements PrivilegeWalk {
  readonly needs: Needs;
  readonly target: Target;
  readonly caller: Caller;
  readonly #libc: DarwinLibc;
  /** The network may not need root: it is opened without root's rights first. */
  readonly #triesWithout: boolean;
  /** Starts the program again through sudo; undefined after that was done. */
  #escalate: (() => void) | undefined;
  #dropped = false;

  /**
   * `given.vmNetType` is the type that will be opened, also when it is the default. Throws UserError for a `--user` or
   * `--group` that the caller may not give.
   */
  constructor(libc: DarwinLibc, given: PrivilegeArguments) {
    this.#libc = libc;
    this.#triesWithout = given.vmNetType === "private";
    const nobody = findUser(libc, "nobody");
    this.caller = identifyCaller(processIds(), process.env, {
      uid: nobody?.uid ?? NOBODY,
      gid: nobody?.gid ?? NOBODY,
    });
    this.target = chooseTarget(libc, this.caller, given);
    this.needs = findNeeds(given, () => true, this.caller.kind === "root");
  }

  obtain(
    given: PrivilegeArguments,
    args: readonly string[],
    _ports: readonly number[] = [],
    more: readonly string[] = [],
  ): void {
    if (!this.needs.network || process.geteuid!() === 0) return;
    this.#escalate = () => {
      if (given.sudoEscalationDone) {
        throw new UserError("sudo has started softnet, but not as root: let its rule in sudoers say (root)");
      }
      escalate(this.#libc, { args, moves: moves(given), more }, describeError);
    };
    if (!this.#triesWithout) this.#escalate();
  }

  /** After vmnet refused for lack of rights: starts the program again through sudo; returns when that cannot help. */
  seekRoot(): void {
    this.#escalate?.();
  }

  get dropped(): boolean {
    return this.#dropped;
  }

  asTarget<T>(action: () => T): T {
    return actAs(this.target, action);
  }

  drop(): void {
    if (this.#dropped || this.caller.kind === "self") return;
    dropTo(this.#libc, this.target);
    this.#dropped = true;
    if (this.caller.kind === "sudo") endWithSudo();
  }

  callerIsRoot(): boolean {
    return this.caller.kind === "root";
  }

  describe(): string {
    const user = userName(this.#libc, process.geteuid!());
    return `user ${user}, group ${groupName(this.#libc, process.getegid!())}`;
  }
}

/** Becomes that user and group, with no other groups. Throws UserError when any of root's rights remain. */
export function dropTo(libc: DarwinLibc, { uid, gid }: Target): void {
  try {
    process.setgroups!([gid]);
    process.setgid!(gid);
    process.setuid!(uid);
    const { uid: realUid, euid, gid: realGid, egid } = processIds();
    if (realUid !== uid || euid !== uid) throw new Error(`the user ids are ${realUid} and ${euid}`);
    if (realGid !== gid || egid !== gid) throw new Error(`the group ids are ${realGid} and ${egid}`);
    const groups = process.getgroups!();
    if (groups.some((group) => group !== gid)) throw new Error(`the groups are ${groups.join(" ")}`);
    if (becomesRoot()) throw new Error("setuid(0) is still possible");
  } catch (error) {
    const who = `user ${userName(libc, uid)} and group ${groupName(libc, gid)}`;
    throw new UserError(`root's rights cannot be dropped to ${who} (${(error as Error).message})`);
  }
}

/** sudo passes signals on, but not SIGKILL: so softnet ends in order when sudo is gone. */
function endWithSudo(): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGTERM");
  }, LOOK);
  timer.unref();
}
