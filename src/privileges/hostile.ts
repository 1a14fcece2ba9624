/**
 * How a caller can influence a program with more rights before its first statement: by the environment, descriptors,
 * signals, working directory and limits. libc and Node themselves ignore much of it when the real and effective ids
 * differ (LD_PRELOAD, NODE_OPTIONS, NODE_EXTRA_CA_CERTS …; Node opens /dev/null for a closed descriptor 0, 1 or 2), and
 * the executable's build options more (scripts/package-executable.ts). This file removes the rest:
 *
 * - NODE_V8_COVERAGE: at exit Node writes files into a folder of the caller's choice, with softnet's rights.
 * - NODE_CHANNEL_FD: Node speaks its IPC protocol with the program at the other end of that descriptor; with
 *   NODE_UNIQUE_ID it acts as a cluster worker, which ends when that program does.
 * - SIGUSR1: Node opens its debugger on a port of 127.0.0.1, and any user of the machine could run code in softnet. The
 *   caller may send this signal, since the real user id is the caller's; after the drop all of the caller's programs may.
 * - Other variables, for softnet (TMPDIR, NODE_*) and for programs that it starts (LD_*, DYLD_*, PATH): all are
 *   removed, except the few that softnet reads.
 * - The umask: files made with root's rights must not be writable for other users.
 * - The working directory: nothing is read from it. Files that the caller names are opened after the drop.
 *
 * NODE_DEBUG takes effect before this code. It makes Node print what it does on stderr, but nothing secret.
 */

import { stopCoverage } from "node:v8";
import { OTHERS_MAY_WRITE } from "../file-modes.ts";
import { heldRights } from "../native/rights.ts";

/** Variables that softnet reads after the drop, and those that sudo sets. */
const CRASHES = ["SENTRY_DSN", "CIRRUS_SENTRY_TAGS", "SOFTNET_CRASH_REPORT"];
const SERVICE = "NOTIFY_SOCKET";
const SCREEN = "NO_COLOR";
const KEPT: ReadonlySet<string> = new Set([...CRASHES, SERVICE, SCREEN, "SUDO_UID", "SUDO_GID", "SUDO_USER"]);
const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

/** To be called before anything else. Does nothing for an ordinary user's process. */
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

/** Closes Node's IPC channel. No message was read from it yet, since the event loop has not run. */
function closeChannel(): void {
  if (!process.channel) return;
  for (const event of ["disconnect", "internalMessage", "message"]) process.removeAllListeners(event);
  process.on("error", () => {}); // Node's first message may fail because the other end is closed
  process.disconnect?.();
}
