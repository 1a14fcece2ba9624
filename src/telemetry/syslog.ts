/**
 * macOS' log: syslog(3) lands in the unified log under the process' name, which `log show --predicate
 * 'process == "softnet"'` finds. Of its priorities the log keeps NOTICE and above on disk, so what softnet tells ordinarily
 * (info) is a notice.
 */
import {
  type DarwinLibc,
  LOG_DAEMON,
  LOG_DEBUG,
  LOG_ERR,
  LOG_NOTICE,
  LOG_PID,
  LOG_WARNING,
} from "../native/darwin/libc.ts";
import { allocate } from "../native/memory.ts";
import type { LogLevel } from "./log.ts";

const PRIORITIES: Readonly<Record<LogLevel, number>> = {
  debug: LOG_DEBUG,
  info: LOG_NOTICE,
  warn: LOG_WARNING,
  error: LOG_ERR,
};

/** Returns a writer of whole lines for that log. Opens it: its name is the process' from then on. */
export function syslogWriter(libc: DarwinLibc, identity = "softnet"): (line: string, level: LogLevel) => void {
  const name = Buffer.from(`${identity}\0`);
  const kept = allocate(name.length); // libc keeps the address for as long as the process lives
  kept.bytes.set(name);
  libc.openlog(kept.address, LOG_PID, LOG_DAEMON);
  return (line, level) => libc.syslog(PRIORITIES[level], "%s", "str", line.trimEnd());
}
