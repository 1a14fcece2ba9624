/**
 * Runs one action before the drop with the rights that softnet will have after it. For files that the caller named and
 * that must be read before the drop. The effective ids change in all threads; the saved ids restore root's. JavaScript
 * has one thread, and the action is synchronous, so nothing else runs meanwhile.
 */
import type { Target } from "./target.ts";

/** Runs the action and returns its result. Changes no ids when the process is not root. */
export function actAs<T>({ uid, gid }: Target, action: () => T): T {
  if (process.geteuid!() !== 0) return action();
  const groups = process.getgroups!();
  const ownGid = process.getegid!();
  process.setgroups!([gid]);
  process.setegid!(gid);
  process.seteuid!(uid);
  try {
    return action();
  } finally {
    process.seteuid!(0);
    process.setegid!(ownGid);
    process.setgroups!(groups);
  }
}
