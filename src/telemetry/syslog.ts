/**
 * macOS's log: syslog(3) writes to the unified log under the process's name (`log show --predicate 'process ==
 * "softnet"'`). That log keeps priorities from NOTICE on on disk, so softnet's level info is sent as NOTICE.
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

/** Opens that log under the name `identity`, and returns a function that writes a whole line. */
export function syslogWriter(libc: DarwinLibc, identity = "softnet"): (line: string, level: LogLevel) => void {
  const name = Buffer.from(`${identity}\0`);
  const kept = allocate(name.length); // libc keeps the address for as long as the process lives
  kept.bytes.set(name);
  libc.openlog(kept.address, LOG_PID, LOG_DAEMON);
  return (line, level) => libc.syslog(PRIORITIES[level], "%s", "str", line.trimEnd());
}
