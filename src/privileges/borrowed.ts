/**
 * Commands that do not filter, and root's rights that are only borrowed, through SUID or sudo: `replay` reads a file in
 * the caller's name; `demo` makes namespaces and kills what its predecessors left, so it wants root itself. The rights
 * of an ordinary user's process, and of root's own, stay as they are.
 */
import { UserError } from "../user-error.ts";
import { processIds } from "./caller.ts";

/** Gives borrowed rights up. To be called before the command does anything. */
export async function returnRights(): Promise<void> {
  const privileges = await lookAtCaller();
  if (privileges !== undefined && privileges.caller.kind !== "root") privileges.drop();
}

/** Throws UserError where root's rights are borrowed by somebody who is not root. `what` is for the message. */
export async function refuseBorrowedRights(what = "the demo"): Promise<void> {
  const privileges = await lookAtCaller();
  if (privileges === undefined || privileges.callerIsRoot()) return;
  throw new UserError(`${what} needs root itself, not only a softnet that may become root: run it as root`);
}

/** Answers undefined where there are no rights to lose. */
async function lookAtCaller() {
  const { uid, euid, gid, egid } = processIds();
  if (uid === euid && gid === egid && euid !== 0) return undefined;
  if (process.platform === "darwin") {
    const { loadDarwinLibc } = await import("../native/darwin/libc.ts");
    const { DarwinPrivileges } = await import("./darwin.ts");
    return new DarwinPrivileges(loadDarwinLibc(), {});
  }
  const { loadLibc } = await import("../native/linux/libc.ts");
  const { Privileges } = await import("./privileges.ts");
  return new Privileges(loadLibc(), {});
}
