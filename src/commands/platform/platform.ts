/** What `softnet` needs of the system that it runs on, beside Node itself. One file a system; run.ts chooses once. */
import type { ByteStream } from "../../ports/byte-stream.ts";
import type { PrivilegeWalk } from "../../privileges/privileges.ts";
import type { SessionSystem } from "../../session/system.ts";
import type { Log, LogFormat, LogLevel } from "../../telemetry/log.ts";
import type { ServiceManager } from "../../telemetry/service-manager.ts";
import type { RunArguments } from "../run-options.ts";

/** A session's part of the system, and what belongs to the whole process. */
export interface Platform extends SessionSystem {
  /** The log; `level` is what the caller wants to see of it on stderr, or in what `write` takes instead. */
  openLog(level: LogLevel, format: LogFormat, write?: (line: string) => boolean): Log;
  /** The service manager to notify, to be asked for once rights are given up. Absent where the system has none. */
  serviceManager?(): ServiceManager;
  /** Finds out who asks, and whom softnet will become. Throws UserError. */
  privileges(given: RunArguments): PrivilegeWalk;
  /** Throws UserError unless `--control-fd` is a connected unix stream socket and nothing else's. */
  checkControlDescriptor(given: RunArguments): void;
  /** Takes `--control-fd` over for good; undefined where it was not given. */
  takeControlDescriptor(given: RunArguments): ByteStream | undefined;
}
