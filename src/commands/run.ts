/**
 * `softnet`: filters between one VM and one network until either disconnects or a signal ends it. This file handles
 * what belongs to the process: the operating system, the log, root's rights, signals. All that belongs to the VM is in
 * its session.
 */
import { parseExposures } from "../networks/exposures.ts";
import { PortClosed } from "../relay/port.ts";
import type { RelayEnd } from "../relay/relay.ts";
import { checkOptions } from "../session/options.ts";
import { Session } from "../session/session.ts";
import { refuseWithoutIPv6 } from "../session/vm-addresses.ts";
import type { Log, LogLevel } from "../telemetry/log.ts";
import { LogFile } from "../telemetry/log-file.ts";
import { UserError } from "../user-error.ts";
import type { Platform } from "./platform/platform.ts";
import { Reload } from "./reload.ts";
import type { RunArguments } from "./run-options.ts";
import { Signals } from "./signals.ts";

/** How a run ends: by a signal, or because the relay did. */
type Ending = { readonly signal: string } | RelayEnd;

/**
 * Runs until the end and returns the exit code. Throws UserError when it cannot start; then nothing is left behind.
 * `makePlatform` is for tests. `words` is the command line that sudo would start again.
 */
export async function run(
  given: RunArguments,
  makePlatform: () => Platform | Promise<Platform> = choosePlatform,
  words: readonly string[] = process.argv.slice(2),
): Promise<number> {
  checkOptions({ ...given, ipv6: true }); // before a library is loaded; whether IPv6 is on may be root's choice
  const platform = await makePlatform();
  const args = platform.withSettings?.(given) ?? given;
  refuseWithoutIPv6(args);
  checkOptions(args);
  const logFile = args.logFile === undefined ? undefined : new LogFile(args.logFile);
  const log = platform.openLog(logLevel(args), args.logFormat, logFile?.write);
  platform.checkControlDescriptor(args);
  const privileges = platform.privileges(args);
  // Under sudo --vm-fd becomes 0, which must not change the log level.
  const level = args.logLevel === undefined && args.vmFd ? ["--log-level", logLevel(args)] : [];
  const ports = parseExposures(args.expose ?? "").map(({ external }) => external);
  privileges.obtain(args, words, ports, level);
  const control = platform.takeControlDescriptor(args); // before softnet starts a program that would inherit it
  // From here on signals end softnet in order, also during the start.
  const signals = new Signals({ reloads: args.policy !== undefined });
  let session: Session | undefined;
  try {
    session = await Session.prepare({ args, system: platform, privileges, log, control });
    privileges.drop();
    logFile?.open();
    const service = platform.serviceManager?.();
    await session.open((status) => service?.status(status));
    session.start();
    const reload = new Reload({ log, logFile, session, service });
    reload.started(session.status);
    signals.onReload(() => reload.run());
    const ending = await Promise.race([signals.stopped, session.ended]);
    reload.ended();
    session.stop(isInOrder(ending));
    return logEnd(log, ending);
  } finally {
    await session?.close();
    logFile?.close((line) => process.stderr.write(line));
  }
}

/** Loads only the running system's code. */
export async function choosePlatform(): Promise<Platform> {
  if (process.platform === "linux") return (await import("./platform/linux.ts")).linuxPlatform();
  if (process.platform === "darwin") return (await import("./platform/darwin.ts")).darwinPlatform();
  throw new UserError(
    `softnet filters on Linux and macOS, not on ${process.platform}; softnet replay works everywhere`,
  );
}

/** Under Tart stderr is the user's terminal: only warnings and errors are written there. */
function logLevel(given: RunArguments): LogLevel {
  return given.logLevel ?? (given.vmFd === 0 && given.logFile === undefined ? "warn" : "info");
}

/** Whether a signal ended it, or its VM disconnected. */
function isInOrder(ending: Ending): boolean {
  return "signal" in ending || (ending.side === "vm" && ending.error instanceof PortClosed);
}

/** Returns the exit code: 0 after a signal or when the VM disconnected, 1 after the network's end or an error. */
function logEnd(log: Log, ending: Ending): number {
  if (isInOrder(ending)) {
    log.info("stopped", { why: "signal" in ending ? ending.signal : ending.error.message });
    return 0;
  }
  log.error((ending as RelayEnd).error.message);
  return 1;
}
