/**
 * Whether this process has more rights than who started it: asked before anything else, so with nothing but what Node
 * itself knows and /proc says.
 */
import { readFileSync } from "node:fs";

/**
 * - `none`: an ordinary user's process.
 * - `own`: root's, started by root.
 * - `borrowed`: what it may, its caller may not: through the SUID or SGID bit, through sudo, or through capabilities.
 *   Then all that comes from the caller is hostile.
 */
export type Rights = "none" | "own" | "borrowed";

export interface Holder {
  readonly uid: number;
  readonly euid: number;
  readonly gid: number;
  readonly egid: number;
  /** What sudo says of who called it. */
  readonly sudoUid: string | undefined;
  /** Linux: one bit for each permitted capability. */
  readonly capabilities: bigint;
}

export function rightsOf({ uid, euid, gid, egid, sudoUid, capabilities }: Holder): Rights {
  if (uid !== euid || gid !== egid) return "borrowed";
  if (euid === 0) return sudoUid === undefined || sudoUid === "0" ? "own" : "borrowed";
  return capabilities === 0n ? "none" : "borrowed";
}

/** What this process holds now. */
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

/** All of them where that cannot be found out: then the caller is taken for hostile. */
function permittedCapabilities(): bigint {
  if (process.platform !== "linux") return 0n;
  let status: string;
  try {
    status = readFileSync("/proc/self/status", "latin1");
  } catch {
    return ~0n; // too few files may be open (limits.ts says so), or there is no /proc
  }
  const digits = /^CapPrm:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return digits === undefined ? ~0n : BigInt(`0x${digits}`);
}
