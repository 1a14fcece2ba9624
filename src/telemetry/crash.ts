/**
 * Reports an error in softnet itself to Sentry when SENTRY_DSN is set; a user's mistake is not reported. The process
 * that crashed ends at once, as it does without Sentry. Another process of the same user sends the report
 * (crash-report.ts), so that no frame passes meanwhile and the filtering process never loads Sentry's code.
 *
 * Nothing is reported while the process has root's rights, its own or borrowed. If the executable has the SUID bit, the
 * sending process gets root's rights again, except on Linux (PR_SET_NO_NEW_PRIVS); it gives them up before anything
 * else.
 *
 * A report contains the kind of the error, where it was thrown, the version and the user's tags. It contains no data of
 * a guest: quoted parts of messages, and messages that are not the language's own, are omitted.
 */
import { spawn } from "node:child_process";
import { isSea } from "node:sea";
import { heldRights } from "../native/rights.ts";

/** The argument that makes this program send a report, and the variable with the crash. */
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

/** Reports crashes from now on, if SENTRY_DSN is set. */
export function watchForCrashes(environment: NodeJS.ProcessEnv): void {
  const { SENTRY_DSN, CIRRUS_SENTRY_TAGS } = environment;
  if (!SENTRY_DSN) return;
  process.on("uncaughtExceptionMonitor", (error) => {
    if (heldRights() !== "none") return;
    const env = { SENTRY_DSN, CIRRUS_SENTRY_TAGS, [CRASH]: JSON.stringify(describeCrash(error)) };
    const script = isSea() ? [] : [process.argv[1]!];
    const sender = spawn(process.execPath, [...script, SEND_CRASH], { env, cwd: "/", stdio: "ignore", detached: true });
    sender.on("error", () => {}); // the report is lost
    sender.unref();
  });
}

const MOST_FRAMES = 50;
const LONGEST = 200; // characters
/** Errors of V8 and Node whose messages describe the program, not its input. */
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

/** Removes the folders that softnet is installed in: they may contain a user's name. */
function shortenPath(path: string): string {
  if (path.startsWith("node:")) return path.slice(0, LONGEST);
  const known = /(?:^|\/)((?:src|dist|node_modules)\/.*)$/.exec(path)?.[1];
  return (known ?? path.split("/").at(-1)!).slice(0, LONGEST);
}
