/**
 * The user who started softnet, whatever user it runs as: softnet must not exceed this user's rights. Determined before
 * any id changes.
 *
 * - `self`: an ordinary user's process, without privileges.
 * - `suid`: through the executable's SUID or SGID bit: the real ids are the caller's.
 * - `sudo`: through sudo, which sets SUDO_UID and SUDO_GID. They count only in a process of root's, since any other
 *   process could have set them itself.
 * - `root`: root itself. softnet then becomes the user `nobody`.
 */

export interface Caller {
  readonly kind: "self" | "suid" | "sudo" | "root";
  readonly uid: number;
  readonly gid: number;
}

export interface ProcessIds {
  readonly uid: number;
  readonly euid: number;
  readonly gid: number;
  readonly egid: number;
}

/** `nobody`: the user that root's own softnet becomes. */
export function identifyCaller(
  { uid, euid, gid, egid }: ProcessIds,
  environment: Readonly<Record<string, string | undefined>>,
  nobody: { readonly uid: number; readonly gid: number },
): Caller {
  if (uid !== 0) return { kind: uid === euid && gid === egid ? "self" : "suid", uid, gid };
  const sudoUid = identifier(environment.SUDO_UID);
  const sudoGid = identifier(environment.SUDO_GID);
  if (sudoUid === undefined || sudoGid === undefined || sudoUid === 0) return { kind: "root", ...nobody };
  return { kind: "sudo", uid: sudoUid, gid: sudoGid };
}

/** The ids of this process. */
export function processIds(): ProcessIds {
  return {
    uid: process.getuid!(),
    euid: process.geteuid!(),
    gid: process.getgid!(),
    egid: process.getegid!(),
  };
}

function identifier(text: string | undefined): number | undefined {
  const value = text !== undefined && /^(0|[1-9]\d{0,9})$/.test(text) ? Number(text) : Number.NaN;
  return value < 0xffffffff ? value : undefined;
}
