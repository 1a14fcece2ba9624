/**
 * The files of a capture: one, or several that are written in turn, FILE, FILE.1, FILE.2 … All are opened at the start,
 * so that emptying and rewriting one later needs no right to open it. Each begins with its own section and is a whole
 * capture; `mergecap` joins them in the order of time.
 *
 * A file that was moved away (logrotate) is replaced by a new one at its path when `reopen` is called.
 */
import { closeSync, constants, fstatSync, ftruncateSync, lstatSync, openSync, writeSync } from "node:fs";
import { CaptureError, systemError } from "./errors.ts";

export class CaptureFiles {
  readonly #head: Uint8Array;
  readonly #paths: readonly string[];
  readonly #descriptors: number[];
  #current = 0;

  /**
   * Creates or empties `count` files, and writes `head` to each but the first, which is written to at once. With a
   * `descriptor` there is that one only. Throws CaptureError.
   */
  constructor(path: string, count: number, head: Uint8Array, descriptor?: number) {
    this.#head = head;
    this.#paths = Array.from({ length: count }, (_, index) => (index === 0 ? path : `${path}.${index}`));
    this.#descriptors = descriptor === undefined ? [] : [descriptor];
    try {
      for (const one of descriptor === undefined ? this.#paths : []) this.#descriptors.push(create(one, count > 1));
      for (const [index, fd] of this.#descriptors.entries()) if (index > 0) this.#begin(index, fd);
    } catch (error) {
      for (const fd of this.#descriptors) closeSync(fd);
      throw error;
    }
  }

  /** The file that is written to now. */
  get path(): string {
    return this.#paths[this.#current]!;
  }

  get descriptor(): number {
    return this.#descriptors[this.#current]!;
  }

  /** Whether there are several. */
  get isRing(): boolean {
    return this.#descriptors.length > 1;
  }

  /** Empties the next file and writes to it from now on. Throws the system's error. */
  turn(): void {
    this.#current = (this.#current + 1) % this.#descriptors.length;
    ftruncateSync(this.descriptor, 0);
  }

  /**
   * Opens the files anew that were moved away from their paths. Returns whether the file that is written to was
   * replaced by an empty one, and the first failure; a file that could not be replaced stays in use.
   */
  reopen(): { readonly changed: boolean; readonly failure: CaptureError | undefined } {
    let changed = false;
    let failure: CaptureError | undefined;
    for (const [index, path] of this.#paths.entries()) {
      const before = this.#descriptors[index]!;
      if (isAt(path, before)) continue;
      try {
        const fd = create(path, this.isRing);
        this.#descriptors[index] = fd;
        closeSync(before);
        if (index === this.#current) changed = true;
        else this.#begin(index, fd);
      } catch (error) {
        failure ??= error instanceof CaptureError ? error : systemError("CAPTURE_UNWRITABLE", path, error);
      }
    }
    return { changed, failure };
  }

  /** Throws the system's error once all files are closed. */
  close(): void {
    let failure: unknown;
    for (const fd of this.#descriptors) {
      try {
        closeSync(fd);
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  #begin(index: number, fd: number): void {
    try {
      writeSync(fd, this.#head);
    } catch (error) {
      throw systemError("CAPTURE_UNWRITABLE", this.#paths[index]!, error);
    }
  }
}

/** Whether the open file is still the one at that path; true for pipes and devices. */
function isAt(path: string, fd: number): boolean {
  const open = fstatSync(fd);
  if (!open.isFile()) return true;
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found !== undefined && found.ino === open.ino && found.dev === open.dev;
}

/**
 * Creates the file with access for its owner only, since frames contain whatever the VM sends. An existing file is
 * emptied and keeps its mode, as with other capture programs. A symbolic link is refused: otherwise a user who may
 * write to the folder could choose where a privileged softnet writes. O_NONBLOCK matters for pipes only: a pipe without
 * a reader is an error instead of a wait, and a slow reader ends the capture, not the relay. With O_APPEND an emptied
 * file is written from its beginning again.
 */
function create(path: string, appending: boolean): number {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_NONBLOCK, O_APPEND } = constants;
  try {
    const append = appending ? O_APPEND : 0;
    return openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | append, 0o600);
  } catch (error) {
    throw systemError("CAPTURE_UNWRITABLE", path, error);
  }
}
