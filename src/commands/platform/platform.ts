/** The operating system's part of the command `softnet`. Each system has one file; run.ts chooses one. */
import type { ByteStream } from "../../ports/byte-stream.ts";
import type { PrivilegeWalk } from "../../privileges/privileges.ts";
import type { SessionSystem } from "../../session/system.ts";
import type { Log, LogFormat, LogLevel } from "../../telemetry/log.ts";
import type { ServiceManager } from "../../telemetry/service-manager.ts";
import type { RunArguments } from "../run-options.ts";

/** A session's part of the system, and what belongs to the whole process. */
export interface Platform extends SessionSystem {
  /** The log; `level` is the lowest level on stderr, or of the lines for `write` instead. */
  openLog(level: LogLevel, format: LogFormat, write?: (line: string) => boolean): Log;
  /** The service manager to notify; to be called after rights were given up. Absent if the system has none. */
  serviceManager?(): ServiceManager;
  /** The arguments with what root's settings add to them, where the system has such. Throws UserError. */
  withSettings?(given: RunArguments): RunArguments;
  /** Determines the caller, and the user that softnet will become. Throws UserError. */
  privileges(given: RunArguments): PrivilegeWalk;
  /** Throws UserError unless `--control-fd` is a connected unix stream socket that no other option uses. */
  checkControlDescriptor(given: RunArguments): void;
  /** Takes ownership of `--control-fd`; undefined if it was not given. */
  takeControlDescriptor(given: RunArguments): ByteStream | undefined;
}
