/**
 * The files of a capture: one, or several that are written in turn, FILE, FILE.1, FILE.2 … All are opened at the start:
 * what is emptied and written again later needs neither the rights nor the folder of then. Each begins with a section of
 * its own, so each is a whole capture; `mergecap` puts them in the order of time.
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

  /** What is written to now. */
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

  /** Goes on with the next file, emptied. Throws what the system says. */
  turn(): void {
    this.#current = (this.#current + 1) % this.#descriptors.length;
    ftruncateSync(this.descriptor, 0);
  }

  /**
   * Opens anew the files that are no more at their paths. Returns whether the one that is written to is another one now,
   * and empty, and the first failure: what could not be opened stays as it was.
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

  /** Throws what the system says, once all are closed. */
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

/** Whether the open file is the one at that path; what is no file cannot be moved away. */
function isAt(path: string, fd: number): boolean {
  const open = fstatSync(fd);
  if (!open.isFile()) return true;
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found !== undefined && found.ino === open.ino && found.dev === open.dev;
}

/**
 * Creates the file for its owner alone, since frames hold whatever the VM sends. An existing file is emptied and keeps
 * its mode, as with every capture program; a symbolic link is refused, so that nobody who may write to the folder can
 * choose where a privileged softnet writes. O_NONBLOCK matters to pipes only: one that nobody reads is an error rather
 * than a softnet that hangs, and one that is read too slowly ends the capture, not the relay. O_APPEND: what is emptied is
 * written from its beginning again.
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
