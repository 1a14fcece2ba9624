/**
 * Gives root's rights up for good, in every thread. libc's setgroups, setgid and setuid reach all threads of the
 * process (nptl(7)); when all user ids leave 0, the kernel clears each thread's capabilities. Both are verified
 * afterwards, and that setuid(0) fails.
 *
 * Descriptors that were opened as root stay open, such as a TAP on a bridge. The process is made undumpable, so that no
 * other process of the same user can take them (ptrace, pidfd_getfd). Programs that it starts gain no rights
 * (PR_SET_NO_NEW_PRIVS).
 */
import { groupName, userName } from "../native/linux/accounts.ts";
import { type LinuxLibc, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS } from "../native/linux/libc.ts";
import { UserError } from "../user-error.ts";
import { becomesRoot } from "./becomes-root.ts";
import type { Target } from "./target.ts";
import { type ThreadRights, threadRights } from "./threads.ts";

/**
 * libc signals each thread to change its ids, and pending signals are limited for all of the caller's programs
 * together.
 */
const REMEDY =
  "where only root exists, as in a user namespace, start softnet outside of it; where the caller's other programs have used up the limit of pending signals (ulimit -i), end them";

/**
 * Becomes that user and group, with no other groups. Throws UserError when any of root's rights remain: then softnet
 * must end.
 */
export function dropTo(libc: LinuxLibc, { uid, gid }: Target): void {
  try {
    process.setgroups!([gid]);
    process.setgid!(gid);
    process.setuid!(uid);
    if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) throw new Error("the kernel has no PR_SET_NO_NEW_PRIVS");
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) !== 0) throw new Error("the process is still dumpable");
    const remains = threadRights().flatMap((thread) => excess(thread, uid, gid) ?? []);
    if (remains.length > 0) throw new Error(remains[0]);
    if (becomesRoot()) throw new Error("setuid(0) is still possible");
  } catch (error) {
    const who = `user ${userName(libc, uid)} and group ${groupName(libc, gid)}`;
    throw new UserError(`root's rights cannot be dropped to ${who} (${(error as Error).message}): ${REMEDY}`);
  }
}

/** A right that this thread still has; undefined when there is none. */
function excess(rights: ThreadRights, uid: number, gid: number): string | undefined {
  const { thread, uids, gids, groups, capabilities } = rights;
  if (!uids.every((id) => id === uid)) return `thread ${thread} has the user ids ${uids.join(" ")}`;
  if (!gids.every((id) => id === gid)) return `thread ${thread} has the group ids ${gids.join(" ")}`;
  if (groups.length !== 1 || groups[0] !== gid) return `thread ${thread} has the groups ${groups.join(" ")}`;
  if (capabilities !== 0n) return `thread ${thread} has the capabilities 0x${capabilities.toString(16)}`;
  return undefined;
}

/** This process's rights as text: `user alice, group alice, no capabilities`. */
export function describeRights(libc: LinuxLibc): string {
  const who = `user ${userName(libc, process.geteuid!())}, group ${groupName(libc, process.getegid!())}`;
  const capabilities = threadRights().reduce((all, thread) => all | thread.capabilities, 0n);
  return `${who}, ${capabilities === 0n ? "no capabilities" : `capabilities 0x${capabilities.toString(16)}`}`;
}
