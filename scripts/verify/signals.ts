/**
 * Signals that would end this program in the middle of a point, with what it changed still changed: they are noted only,
 * and the point that runs comes to its end.
 */
import { constants } from "node:os";

const NOTED = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** From now on. Answers which signal came first, if any did. */
export function noteSignals(): () => NodeJS.Signals | undefined {
  let first: NodeJS.Signals | undefined;
  for (const signal of NOTED) {
    process.on(signal, () => {
      first ??= signal;
    });
  }
  return () => first;
}

/** The exit code of a program that a signal has ended, as shells have it. */
export function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
