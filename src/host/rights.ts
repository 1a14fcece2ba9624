/**
 * The helper's way from root to an ordinary user with CAP_NET_ADMIN as the only capability that it has or can get
 * (capabilities(7)). Programs that it starts have it too: `ip` and `nft`.
 *
 * Capabilities belong to a thread. Only the main thread keeps its own across the change of user; all others lose theirs.
 */
import { describeError } from "../native/linux/errno.ts";
import {
  type LinuxLibc,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_SET_DUMPABLE,
  PR_SET_KEEPCAPS,
  PR_SET_NO_NEW_PRIVS,
} from "../native/linux/libc.ts";

const CAP_NET_ADMIN = 12;
/** More than any kernel has. */
const MOST_CAPABILITIES = 64;
/** _LINUX_CAPABILITY_VERSION_3: two words each of effective, permitted and inheritable ones. */
const VERSION_3 = 0x20080522;

/** Becomes that user, where this process is root; keeps the capability in any case. Throws Error when it cannot. */
export function keepNetAdmin(libc: LinuxLibc, { uid, gid }: { readonly uid: number; readonly gid: number }): void {
  if (process.geteuid!() === 0) {
    for (let capability = 0; capability < MOST_CAPABILITIES; capability++) {
      if (capability !== CAP_NET_ADMIN) libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); // unknown ones are refused
    }
    check(libc, "PR_SET_KEEPCAPS", libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    process.setgroups!([]);
    process.setgid!(gid);
    process.setuid!(uid);
  }
  const header = new Uint32Array([VERSION_3, 0]);
  const bit = 1 << CAP_NET_ADMIN;
  const data = new Uint32Array([bit, bit, bit, 0, 0, 0]);
  check(libc, "capset", libc.capset(new Uint8Array(header.buffer), new Uint8Array(data.buffer)));
  check(libc, "PR_CAP_AMBIENT", libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0));
  check(libc, "PR_SET_NO_NEW_PRIVS", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  check(libc, "PR_SET_DUMPABLE", libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

function check(libc: LinuxLibc, what: string, result: number): void {
  if (result < 0) throw new Error(`${what}: ${describeError(libc.errno())}`);
}
