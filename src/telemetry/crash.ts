/**
 * A fault of softnet's own, reported to Sentry where SENTRY_DSN asks for it; a user's mistake is none. The process that
 * crashed ends at once, as it does without Sentry: another one of the same user sends the report (crash-report.ts), so
 * that no frame passes meanwhile and nothing of Sentry's is loaded in a program that filters.
 *
 * Nothing is reported while rights are held or borrowed. Where the executable has the SUID bit, the sender has borrowed some
 * again (on Linux what has dropped its rights starts nothing that gains any): it gives them up before all else. A report has the kind of the error and where it was thrown, the
 * version and the user's tags; no data of a guest: what stands in quotes in a message, or is no message of the
 * language's, is left out.
 */
import { spawn } from "node:child_process";
import { isSea } from "node:sea";
import { heldRights } from "../native/rights.ts";

/** The argument that makes this program the sender, and the variable that the crash is in. */
export const SEND_CRASH = "--send-crash-report";
export const CRASH = "SOFTNET_CRASH_REPORT";

export interface Frame {
  readonly function: string;
  /** A path inside the program. */
  readonly filename: string;
  readonly lineno: number;
  readonly colno: number;
}

export interface Crash {
  readonly type: string;
  readonly value: string;
  /** The innermost one first. */
  readonly frames: readonly Frame[];
}

/** From now on crashes are reported, if SENTRY_DSN is set. Harmless otherwise. */
export function watchForCrashes(environment: NodeJS.ProcessEnv): void {
  const { SENTRY_DSN, CIRRUS_SENTRY_TAGS } = environment;
  if (!SENTRY_DSN) return;
  process.on("uncaughtExceptionMonitor", (error) => {
    if (heldRights() !== "none") return;
    const env = { SENTRY_DSN, CIRRUS_SENTRY_TAGS, [CRASH]: JSON.stringify(describeCrash(error)) };
    const script = isSea() ? [] : [process.argv[1]!];
    const sender = spawn(process.execPath, [...script, SEND_CRASH], { env, cwd: "/", stdio: "ignore", detached: true });
    sender.on("error", () => {}); // there is nobody left to report to
    sender.unref();
  });
}

const MOST_FRAMES = 50;
const LONGEST = 200; // characters
/** What V8 and Node throw with words about the program, not about its input. */
const OF_THE_LANGUAGE: ReadonlySet<string> = new Set(["TypeError", "RangeError", "ReferenceError"]);

export function describeCrash(error: unknown): Crash {
  if (!(error instanceof Error)) return { type: typeof error, value: "", frames: [] };
  const { code, syscall } = error as NodeJS.ErrnoException;
  const type = String(error.constructor.name).slice(0, LONGEST);
  const words = OF_THE_LANGUAGE.has(type) ? error.message.split("\n")[0]!.replace(/["'`].*["'`]/, "…") : "";
  const value = typeof code === "string" ? [code, syscall].filter((word) => typeof word === "string").join(" ") : words;
  return { type, value: value.slice(0, LONGEST), frames: stackFrames(error.stack ?? "") };
}

/** `    at function (file:line:column)`, or without a function. */
function stackFrames(stack: string): Frame[] {
  const frames = stack.split("\n").flatMap((line) => {
    const match = /^ {4}at (?:(?:async )?(.*?) \()?([^()]*?):(\d+):(\d+)\)?$/.exec(line);
    if (match === null) return [];
    const [, name = "?", path = "", row, column] = match;
    return [
      { function: name.slice(0, LONGEST), filename: shortenPath(path), lineno: Number(row), colno: Number(column) },
    ];
  });
  return frames.slice(0, MOST_FRAMES);
}

/** Without the folders that softnet lies in: they may name people. */
function shortenPath(path: string): string {
  if (path.startsWith("node:")) return path.slice(0, LONGEST);
  const known = /(?:^|\/)((?:src|dist|node_modules)\/.*)$/.exec(path)?.[1];
  return (known ?? path.split("/").at(-1)!).slice(0, LONGEST);
}
