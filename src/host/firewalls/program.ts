/**
 * Runs a program that lists rules to its end: by absolute path, with an empty environment, and without keeping the event
 * loop from anything else.
 */
import { execFile } from "node:child_process";

const TIMEOUT = 60_000; // milliseconds: nft takes 3 s for 20,000 rules of iptables, and more on a busy host
const MOST_OUTPUT = 256 * 2 ** 20; // bytes: a host of containers may have a hundred thousand rules

export interface Output {
  readonly stdout: string;
  /** The first line of what is wrong, empty where the program did not say; undefined: it succeeded. */
  readonly failure?: string;
}

/** Never rejects. */
export function runProgram(path: string, args: readonly string[]): Promise<Output> {
  const options = {
    env: {},
    timeout: TIMEOUT,
    maxBuffer: MOST_OUTPUT,
    // nft ends silently where its real and effective users differ, as they do for a child of a SUID program.
    ...(process.geteuid?.() === 0 && { uid: 0, gid: 0 }),
  };
  return new Promise((resolve) => {
    execFile(path, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve({ stdout });
      const said = stderr.trim().split("\n")[0] ?? "";
      if (error.code === null && error.killed === true)
        return resolve({ stdout, failure: `${path} did not end within ${TIMEOUT / 1000} s` });
      const started = typeof error.code !== "string"; // a string is the name of a system error: it did not start
      resolve({ stdout, failure: said === "" && !started ? error.message : said });
    });
  });
}
