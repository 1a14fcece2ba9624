/**
 * Whether this process has more rights than the user who started it. Checked before anything else, so it uses only Node
 * itself and /proc.
 */
import { readFileSync } from "node:fs";

/**
 * - `none`: an ordinary user's process.
 * - `own`: root's, started by root.
 * - `borrowed`: it has rights that its caller has not: through the SUID or SGID bit, sudo, or capabilities. Then all
 *   input from the caller is untrusted.
 */
export type Rights = "none" | "own" | "borrowed";

export interface Holder {
  readonly uid: number;
  readonly euid: number;
  readonly gid: number;
  readonly egid: number;
  /** SUDO_UID: the user who called sudo. */
  readonly sudoUid: string | undefined;
  /** Linux: one bit for each permitted capability. */
  readonly capabilities: bigint;
}

export function rightsOf({ uid, euid, gid, egid, sudoUid, capabilities }: Holder): Rights {
  if (uid !== euid || gid !== egid) return "borrowed";
  if (euid === 0) return sudoUid === undefined || sudoUid === "0" ? "own" : "borrowed";
  return capabilities === 0n ? "none" : "borrowed";
}

/** The rights of this process now. */
export function heldRights(): Rights {
  return rightsOf({
    uid: process.getuid!(),
    euid: process.geteuid!(),
    gid: process.getgid!(),
    egid: process.getegid!(),
    sudoUid: process.env.SUDO_UID,
    capabilities: permittedCapabilities(),
  });
}

/** All capabilities when they cannot be read: then the caller is not trusted. */
function permittedCapabilities(): bigint {
  if (process.platform !== "linux") return 0n;
  let status: string;
  try {
    status = readFileSync("/proc/self/status", "latin1");
  } catch {
    return ~0n; // the limit of open files is too low (limits.ts reports that), or there is no /proc
  }
  const digits = /^CapPrm:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return digits === undefined ? ~0n : BigInt(`0x${digits}`);
}
