/**
 * The lock of an open file description on a file or a part of it (F_OFD_SETLK, fcntl(2)). It ends when the last
 * descriptor is closed, also when the process is killed. Linux and Darwin use different numbers for it.
 */

/** A system's numbers, and their offsets in its struct flock. */
export interface LockSystem {
  /** fcntl with a struct flock; F_OFD_GETLK overwrites it. */
  readonly fcntlLock: (fd: number, command: number, lock: Uint8Array) => number;
  readonly errno: () => number;
  readonly describeError: (errno: number) => string;
  /** The error numbers that mean that another process has the lock. */
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

  /** Takes the write lock without waiting; false when it is taken. Throws for any other error. */
  take(fd: number, range: LockRange = WHOLE_FILE): boolean {
    const { fcntlLock, set, write, errno, held, describeError } = this.#system;
    if (fcntlLock(fd, set, this.#flockOf(write, range)) === 0) return true;
    const error = errno();
    if (held.includes(error)) return false;
    throw new Error(`a record cannot be locked: ${describeError(error)}`);
  }

  /** Whether another process has the write lock: queries which lock would conflict with a read lock. */
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
