/**
 * The user and group that softnet becomes once all that needs root is open: `--user` and `--group`, else the caller's.
 */
import { type AccountsLibc, findGroup, findUser, userName } from "../native/linux/accounts.ts";
import { UserError } from "../user-error.ts";
import type { Caller } from "./caller.ts";

export interface Target {
  readonly uid: number;
  readonly gid: number;
}

/** nobody, with its group: nogroup on Debian, nobody elsewhere. */
export function findNobody(libc: AccountsLibc): Target {
  const group = ["nogroup", "nobody"].map((name) => libc.getgrnam(name) !== null && findGroup(libc, name));
  const gid = group.find((found) => typeof found === "number");
  return { uid: 65_534, gid: typeof gid === "number" ? gid : 65_534 };
}

/**
 * Throws UserError for an unknown account, for root, and for another account than the caller's unless the caller is
 * root.
 */
export function chooseTarget(
  libc: AccountsLibc,
  caller: Caller,
  given: { readonly user?: string; readonly group?: string },
): Target {
  const { user, group } = given;
  const found = user === undefined ? caller : findUser(libc, user);
  if (found === undefined) throw new UserError(`--user ${user}: there is no such user; give a name or a number`);
  if (user !== undefined && found.uid === 0) {
    throw new UserError(`--user ${user}: softnet does not filter as root; give another user, or leave it out`);
  }
  if (caller.kind !== "root" && found.uid !== caller.uid) {
    throw new UserError(
      `--user ${user}: only root itself may give another user; leave it out, it is ${userName(libc, caller.uid)} then`,
    );
  }
  const gid = chooseGroup(libc, caller, found, given);
  if (caller.kind !== "root" && gid !== caller.gid) {
    throw new UserError(`--group ${group}: only root itself may give another group than the caller's; leave it out`);
  }
  return { uid: found.uid, gid };
}

function chooseGroup(
  libc: AccountsLibc,
  caller: Caller,
  found: { readonly gid: number | undefined },
  { user, group }: { readonly user?: string; readonly group?: string },
): number {
  if (group !== undefined) {
    const gid = findGroup(libc, group);
    if (gid === undefined) throw new UserError(`--group ${group}: there is no such group; give a name or a number`);
    return gid;
  }
  if (caller.kind !== "root") return caller.gid;
  if (found.gid === undefined) {
    throw new UserError(`--user ${user}: this user has no account, so no group; give --group too`);
  }
  return found.gid;
}
