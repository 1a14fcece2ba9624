/**
 * `--log-file PATH`: the log in a file instead of on stderr. It is opened after root's rights were given up; earlier
 * lines are kept here until then. SIGHUP opens it anew, after logrotate has moved it away. Only its owner may read it,
 * it is always appended to, and a symbolic link is refused.
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { UserError } from "../user-error.ts";

/** Lines that wait for the file to be opened. */
const MOST_WAITING = 1000;

export class LogFile {
  readonly #path: string;
  #fd: number | undefined;
  #waiting: string[] = [];

  /** Opens nothing yet. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Takes one whole line; returns false when it was not taken. */
  write = (line: string): boolean => {
    if (this.#fd === undefined) return this.#waiting.length < MOST_WAITING && this.#waiting.push(line) > 0;
    try {
      return writeSync(this.#fd, line) > 0;
    } catch {
      return false; // the line is lost, for example because the disk is full
    }
  };

  /** Opens the file with the process's present rights, and writes the lines that wait. Throws UserError. */
  open(): void {
    try {
      this.#fd = openLog(this.#path);
    } catch (error) {
      throw new UserError(`--log-file ${this.#path}: ${describe(error)}`);
    }
    for (const line of this.#waiting.splice(0)) this.write(line);
  }

  /** Opens the path anew. Returns why that failed; then the old file stays in use. */
  reopen(): string | undefined {
    const before = this.#fd;
    if (before === undefined) return undefined;
    try {
      this.#fd = openLog(this.#path);
      closeSync(before);
      return undefined;
    } catch (error) {
      return describe(error);
    }
  }

  /** Closes the file; lines that wait because it was never opened go to `last`. Harmless when called twice. */
  close(last: (line: string) => void): void {
    for (const line of this.#waiting.splice(0)) last(line);
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** O_NONBLOCK: a pipe without a reader is an error instead of a wait. */
function openLog(path: string): number {
  const { O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = constants;
  return openSync(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0o600);
}

function describe(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const user = process.geteuid?.();
  if (code === "ENOENT") return "the folder does not exist; create it first";
  if (code === "EACCES" || code === "EPERM") {
    return `softnet runs as user ${user}, who may not write it; name a file in a folder of that user's, or give --user`;
  }
  if (code === "ELOOP") return "it is a symbolic link, which is not followed; name the file itself";
  if (code === "EISDIR") return "it is a folder; name a file in it";
  if (code === "ENXIO") return "nothing reads from this pipe; start the reading program first";
  return `it cannot be opened (${code ?? message})`;
}
