/**
 * What a caller can do to a program that has more rights than he, before its first statement: his environment, his
 * descriptors, his signals, his working directory, his limits. libc and Node themselves refuse much of it where the
 * real and the effective ids differ (LD_PRELOAD, NODE_OPTIONS, NODE_EXTRA_CA_CERTS …; Node opens /dev/null for a closed
 * descriptor 0, 1 or 2), the executable's own options more (scripts/package-executable.ts). The rest:
 *
 * - NODE_V8_COVERAGE: at the exit Node writes files into a folder of the caller's choice, with softnet's rights.
 * - NODE_CHANNEL_FD: Node speaks its own protocol with whoever holds the other end; with NODE_UNIQUE_ID as a cluster's
 *   worker, which ends with it.
 * - SIGUSR1: Node opens its debugger on a port of 127.0.0.1, through which anybody on the machine runs code in softnet.
 *   The caller may send it, since the real user is he; after the drop, all of his programs may.
 * - Other variables, to softnet (TMPDIR, NODE_*) and to what it starts (LD_*, DYLD_*, PATH): none but the few that
 *   softnet asks for are left.
 * - The umask: files made with root's rights must not be writable for others.
 * - The working directory: nothing is read from it; what the caller names is opened after the drop, with his rights.
 *
 * Node has read NODE_DEBUG before: it prints on stderr what Node does, and nothing that is secret.
 */

import { stopCoverage } from "node:v8";
import { OTHERS_MAY_WRITE } from "../file-modes.ts";
import { heldRights } from "../native/rights.ts";

/** What softnet asks for, after the drop, and what sudo tells. */
const CRASHES = ["SENTRY_DSN", "CIRRUS_SENTRY_TAGS", "SOFTNET_CRASH_REPORT"];
const SERVICE = "NOTIFY_SOCKET";
const KEPT: ReadonlySet<string> = new Set([...CRASHES, SERVICE, "SUDO_UID", "SUDO_GID", "SUDO_USER"]);
const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

/** To be called first. Does nothing where no rights are borrowed or held. */
export function disarm(): void {
  const rights = heldRights();
  if (rights === "none") return;
  process.on("SIGUSR1", () => {});
  if (rights === "own") return;
  if (process.env.NODE_V8_COVERAGE !== undefined) stopCoverage();
  closeChannel();
  for (const name of Object.keys(process.env)) if (!KEPT.has(name)) delete process.env[name];
  process.env.PATH = PATH;
  process.umask(process.umask(0o777) | OTHERS_MAY_WRITE);
}

/** No message has been read from it yet: the event loop has not turned. */
function closeChannel(): void {
  if (!process.channel) return;
  for (const event of ["disconnect", "internalMessage", "message"]) process.removeAllListeners(event);
  process.on("error", () => {}); // what Node has sent already may have found nobody
  process.disconnect?.();
}
