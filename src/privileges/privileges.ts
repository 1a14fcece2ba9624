/**
 * The steps in which softnet gets root's rights, if it needs them, and gives them up:
 *
 * 1. Determine the caller (caller.ts) and the user that softnet will become (target.ts).
 * 2. Determine what needs root (needs.ts). If softnet is not root, it starts again through sudo (escalation.ts). If it
 * is
 *    root for a caller who is not, requests that are not permitted are refused (permits.ts), and the number of the
 *    caller's VMs is limited (vm-slots.ts).
 * 3. The user of this class opens `needs.first`, and nothing else.
 * 4. `drop` (drop.ts). Paths named by a caller other than root are opened only now. No frame has passed before.
 */
import type { LinuxLibc } from "../native/linux/libc.ts";
import { UserError } from "../user-error.ts";
import { actAs } from "./act-as.ts";
import { type Caller, identifyCaller, processIds } from "./caller.ts";
import { describeRights, dropTo } from "./drop.ts";
import { escalate, type Move } from "./escalation.ts";
import { findNeeds, type Needs, type Sides } from "./needs.ts";
import { endWithSudo } from "./parent.ts";
import { mayBeRoot, Permits } from "./permits.ts";
import { lookAtTap } from "./taps.ts";
import { chooseTarget, findNobody, type Target } from "./target.ts";
import { CAP_NET_ADMIN, threadRights } from "./threads.ts";
import { takeSlot } from "./vm-slots.ts";

export interface PrivilegeArguments extends Sides {
  readonly user?: string;
  readonly group?: string;
  readonly sudoEscalationDone?: boolean;
  readonly controlFd?: number;
}

/** The part of these steps that the code which opens ports uses; one implementation for each system. */
export interface PrivilegeWalk {
  readonly needs: Needs;
  readonly target: Target;
  readonly caller: Caller;
  readonly dropped: boolean;
  /** What the caller may request, when softnet has root's rights and the caller has not; else undefined. */
  readonly permits?: Permits | undefined;
  /** The TAP of `--vm-tap` must not exist yet: the caller may only have a new one. */
  readonly newTap?: boolean;
  obtain(given: PrivilegeArguments, args: readonly string[], ports?: readonly number[], more?: readonly string[]): void;
  asTarget<T>(action: () => T): T;
  drop(): void;
  callerIsRoot(): boolean;
  describe(): string;
}

export class Privileges implements PrivilegeWalk {
  readonly needs: Needs;
  /** The user and group that softnet becomes, and that own the caller's files. */
  readonly target: Target;
  readonly caller: Caller;
  readonly permits: Permits | undefined;
  readonly #libc: LinuxLibc;
  #newTap = false;
  #dropped = false;

  /** Throws UserError for a `--user` or `--group` that the caller may not give. */
  constructor(libc: LinuxLibc, given: PrivilegeArguments) {
    this.#libc = libc;
    this.caller = identifyCaller(processIds(), process.env, findNobody(libc));
    this.target = chooseTarget(libc, this.caller, given);
    this.permits = Permits.of(libc, this.caller);
    this.needs = findNeeds(given, (tap) => this.#isOwnTap(tap), this.caller.kind === "root");
  }

  /**
   * Makes sure that the process has the rights that `needs` requires. Throws UserError, or starts the program again
   * through sudo and does not return. `args`: the user's arguments; `ports`: the external ports to expose; `more`:
   * arguments to add when it is started through sudo.
   */
  obtain(
    given: PrivilegeArguments,
    args: readonly string[],
    ports: readonly number[] = [],
    more: readonly string[] = [],
  ): void {
    const { tap, attach, network } = this.needs;
    if (tap === undefined && attach === undefined && !network) return;
    if (!this.#hasRights()) {
      if (given.sudoEscalationDone) {
        throw new UserError("sudo has started softnet, but not as root: let its rule in sudoers say (root)");
      }
      escalate(this.#libc, { args, moves: moves(given), more });
    }
    if (this.permits !== undefined) this.#ask(this.permits, given.bridge, ports);
  }

  get newTap(): boolean {
    return this.#newTap;
  }

  /** Refuses what the caller may not have, as far as that does not depend on the host's network. */
  #ask(permits: Permits, bridge: string | undefined, ports: readonly number[]): void {
    const { tap, attach } = this.needs;
    if (attach !== undefined) permits.attach(attach);
    if (bridge !== undefined) permits.bridge(bridge);
    if (tap !== undefined) {
      this.#newTap = this.#libc.if_nametoindex(tap) === 0;
      if (this.#newTap) permits.newTap(tap);
      else permits.tap(tap);
    }
    for (const port of ports) permits.port(port);
    const most = permits.mostVms();
    if (!takeSlot(this.#libc, this.caller.uid, most)) permits.tooManyVms(most);
  }

  /** Whether it had root's rights and has given them up. */
  get dropped(): boolean {
    return this.#dropped;
  }

  /** Runs an action with the rights that softnet will have after the drop. */
  asTarget<T>(action: () => T): T {
    return actAs(this.target, action);
  }

  /** Gives root's rights up; harmless when called twice. Throws UserError when any remain. */
  drop(): void {
    if (this.#dropped || this.caller.kind === "self") return;
    dropTo(this.#libc, this.target);
    this.#dropped = true;
    if (this.caller.kind === "sudo") endWithSudo(this.#libc);
  }

  /** Whether the caller is root, or could be without softnet. */
  callerIsRoot(): boolean {
    return this.caller.kind === "root" || mayBeRoot(this.#libc, this.caller);
  }

  /** This process's present rights, as text. */
  describe(): string {
    return describeRights(this.#libc);
  }

  /** Root, or what root gave an ordinary user's process: CAP_NET_ADMIN, which is not enough to load programs. */
  #hasRights(): boolean {
    if (process.geteuid!() === 0) return true;
    return (
      this.needs.attach === undefined && threadRights().every(({ effective }) => (effective & CAP_NET_ADMIN) !== 0n)
    );
  }

  /** Whether the caller may open the TAP with their own rights. Always false for root itself. */
  #isOwnTap(name: string): boolean {
    const { kind, uid, gid } = this.caller;
    if (kind === "root") return false;
    const groups = kind === "self" ? [gid, ...process.getgroups!()] : [this.target.gid];
    return lookAtTap(this.#libc, name, { uid, groups }).open;
  }
}

/** The new numbers of the descriptors on the command line, since sudo keeps only the first three. */
export function moves({ vmFd, hostFd, controlFd }: PrivilegeArguments): Move[] {
  const control = controlFd === undefined ? [] : [{ option: "--control-fd", from: controlFd, to: 1 }];
  if (vmFd !== undefined) return [{ option: "--vm-fd", from: vmFd, to: 0 }, ...control];
  return hostFd === undefined ? control : [{ option: "--host-fd", from: hostFd, to: 0 }, ...control];
}
