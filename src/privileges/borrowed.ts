/**
 * What commands that do not filter do with root's rights borrowed through SUID or sudo. `replay` gives them up, to read
 * a file with the caller's rights. `demo` refuses them: it makes namespaces and kills processes of earlier demos, so
 * only root itself may run it. The rights of an ordinary user's process, and of root's own, stay as they are.
 */
import { UserError } from "../user-error.ts";
import { processIds } from "./caller.ts";

/** Gives borrowed rights up. To be called before anything else. */
export async function returnRights(): Promise<void> {
  const privileges = await lookAtCaller();
  if (privileges !== undefined && privileges.caller.kind !== "root") privileges.drop();
}

/**
 * Returns what gives all of root's rights up for good, root's own too: it becomes `user`, else the caller, or nobody where root
 * itself is that. Throws UserError for a user whom the caller may not be.
 */
export async function prepareDrop(user: string | undefined): Promise<() => void> {
  const privileges = await lookAtCaller(user === undefined ? {} : { user });
  if (privileges !== undefined) return () => privileges.drop();
  if (user !== undefined) throw new UserError(`--user ${user}: only root itself may give a user; leave it out`);
  return () => {};
}

/** Throws UserError where root's rights are borrowed by somebody who is not root. `what` is for the message. */
export async function refuseBorrowedRights(what = "the demo"): Promise<void> {
  const privileges = await lookAtCaller();
  if (privileges === undefined || privileges.callerIsRoot()) return;
  throw new UserError(`${what} needs root itself, not only a softnet that may become root: run it as root`);
}

/** Returns undefined when there are no rights to give up. */
async function lookAtCaller(given: { readonly user?: string } = {}) {
  const { uid, euid, gid, egid } = processIds();
  if (uid === euid && gid === egid && euid !== 0) return undefined;
  if (process.platform === "darwin") {
    const { loadDarwinLibc } = await import("../native/darwin/libc.ts");
    const { DarwinPrivileges } = await import("./darwin.ts");
    return new DarwinPrivileges(loadDarwinLibc(), given);
  }
  const { loadLibc } = await import("../native/linux/libc.ts");
  const { Privileges } = await import("./privileges.ts");
  return new Privileges(loadLibc(), given);
}
