/**
 * Before the drop, and for one action only: with the rights of whom softnet will become. For what the caller named and
 * what must be known before the drop. The effective ids change in all threads; the saved ones bring root's back. There
 * is one thread of JavaScript, and the action is a synchronous one, so nothing else runs meanwhile.
 */
import type { Target } from "./target.ts";

/** Runs the action and answers what it does. Does nothing else where there are no rights of root's to give up. */
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
