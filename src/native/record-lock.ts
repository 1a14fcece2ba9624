/**
 * The lock of an open file description over a whole file or a part of it (F_OFD_SETLK, fcntl(2)): it ends when the last
 * descriptor of it is closed, however that happens. Linux and Darwin have it with other numbers.
 */

/** A system's numbers, and where in its struct flock they stand. */
export interface LockSystem {
  /** fcntl with a struct flock, which the question overwrites. */
  readonly fcntlLock: (fd: number, command: number, lock: Uint8Array) => number;
  readonly errno: () => number;
  readonly describeError: (errno: number) => string;
  /** The error numbers that say that another one has the lock. */
  readonly held: readonly number[];
  readonly set: number;
  readonly get: number;
  readonly read: number;
  readonly write: number;
  readonly none: number;
  readonly layout: { readonly size: number; readonly type: number; readonly start: number; readonly length: number };
}

/** Bytes of the file that are locked; a length of 0 reaches to its end, however it grows. */
export interface LockRange {
  readonly start: bigint;
  readonly length: bigint;
}

const WHOLE_FILE: LockRange = { start: 0n, length: 0n };

export class RecordLock {
  readonly #system: LockSystem;

  constructor(system: LockSystem) {
    this.#system = system;
  }

  /** Takes the write lock without waiting; false when somebody has it. Throws where the system refuses otherwise. */
  take(fd: number, range: LockRange = WHOLE_FILE): boolean {
    const { fcntlLock, set, write, errno, held, describeError } = this.#system;
    if (fcntlLock(fd, set, this.#flockOf(write, range)) === 0) return true;
    const error = errno();
    if (held.includes(error)) return false;
    throw new Error(`a record cannot be locked: ${describeError(error)}`);
  }

  /** Whether somebody else has the write lock: asks for whom a read lock would have to wait. */
  isTaken(fd: number): boolean {
    const { fcntlLock, get, read, none, errno, describeError, layout } = this.#system;
    const lock = this.#flockOf(read, WHOLE_FILE);
    if (fcntlLock(fd, get, lock) === 0) return lock.readInt16LE(layout.type) !== none;
    throw new Error(`a record's lock cannot be read: ${describeError(errno())}`);
  }

  #flockOf(type: number, { start, length }: LockRange): Buffer {
    const { layout } = this.#system;
    const lock = Buffer.alloc(layout.size);
    lock.writeInt16LE(type, layout.type);
    lock.writeBigInt64LE(start, layout.start);
    lock.writeBigInt64LE(length, layout.length);
    return lock;
  }
}
