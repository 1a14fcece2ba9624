/**
 * The path of a unix socket that softnet listens on: made, replaced if it is a leftover, and removed again.
 *
 * - It is the user's alone. bind(2) makes it with mode 0777 less the umask, so the umask is set around bind: with 0600
 *   from the first moment, no other user could ever connect. (chmod afterwards would be a moment too late.)
 * - A program that was killed leaves its path behind. It is replaced if it is a socket, this user's, and no process has
 *   it open; whatever else is there is refused. Whether it is open is asked with a datagram socket: the kernel finds the
 *   listening socket before it compares types, so that a leftover gives ECONNREFUSED, and a living one EPROTOTYPE
 *   without hearing of it. A stream connection would be taken for the one client.
 * - Who replaces holds a lock on the folder (flock(2)): else, of two that find the same leftover, the slower one would
 *   remove the path that the faster one just made. Who finds the path free needs none: bind replaces nothing.
 */
import { closeSync, lstatSync, openSync, type Stats, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { UserError } from "../user-error.ts";
import { LINUX_LAYOUT } from "./linux-unix.ts";
import type { UnixAddressLayout, UnixSystem } from "./unix-system.ts";

/** Takes everything but the owner's reading and writing. */
const OWNER_ONLY = 0o177;

/** struct sockaddr_un for a path. Throws UserError, beginning with `label`, where it does not fit. */
export function unixAddress(label: string, path: string, layout: UnixAddressLayout = LINUX_LAYOUT): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length === 0 || bytes.length >= layout.pathSize || bytes.includes(0)) {
    throw new UserError(
      `${label}: a socket's path has 1 to ${layout.pathSize - 1} bytes; this one has ${bytes.length}`,
    );
  }
  const address = Buffer.alloc(layout.path + bytes.length + 1);
  address.writeUInt16LE(layout.head(address.length));
  bytes.copy(address, layout.path);
  return address;
}

/** Whether a program listens at a path, which does not hear of being asked. Throws UserError for a path that is too long. */
export function isListening(system: UnixSystem, path: string): boolean {
  const errno = probe(system, unixAddress(path, path, system.layout));
  const { ECONNREFUSED, ENOENT, ENOTDIR } = system.errors;
  return errno >= 0 && errno !== ECONNREFUSED && errno !== ENOENT && errno !== ENOTDIR;
}

/** The error number with which a datagram socket cannot connect to an address, or 0; negative where there is no socket. */
function probe({ libc, socket }: UnixSystem, address: Buffer): number {
  const fd = socket("datagram");
  if (fd < 0) return -libc.errno();
  const errno = libc.connect(fd, address, address.length) < 0 ? libc.errno() : 0;
  libc.close(fd);
  return errno;
}

export class UnixPath {
  readonly #system: UnixSystem;
  readonly #label: string;
  readonly #path: string;
  readonly #address: Buffer;
  /** What `bind` made. */
  #made: Stats | undefined;

  constructor(system: UnixSystem, label: string, path: string) {
    this.#system = system;
    this.#label = label;
    this.#path = path;
    this.#address = unixAddress(label, path, system.layout);
  }

  /** Makes the path for the socket `fd`. Throws UserError. */
  bind(fd: number): void {
    let errno = this.#tryBind(fd);
    if (errno === this.#system.errors.EADDRINUSE) {
      const lock = this.#lockFolder();
      try {
        this.#removeLeftover();
        errno = this.#tryBind(fd);
      } finally {
        closeSync(lock);
      }
    }
    if (errno !== 0) throw this.#error(this.#bindError(errno));
    this.#made = lstatSync(this.#path);
  }

  /** Removes the path that `bind` made, unless another one is there by now. To be called before the socket is closed. */
  remove(): void {
    const made = this.#made;
    this.#made = undefined;
    if (made === undefined) return;
    try {
      const found = lstatSync(this.#path);
      if (found.ino === made.ino && found.dev === made.dev) unlinkSync(this.#path);
    } catch {
      // Removed already, or the folder is no longer ours to change: a leftover does no harm.
    }
  }

  /** Returns 0 or the error number. */
  #tryBind(fd: number): number {
    const { libc } = this.#system;
    const umask = process.umask(OWNER_ONLY);
    const result = libc.bind(fd, this.#address, this.#address.length);
    const errno = result < 0 ? libc.errno() : 0;
    process.umask(umask);
    return errno;
  }

  /** Returns a descriptor that holds the lock until it is closed. */
  #lockFolder(): number {
    let fd: number;
    try {
      fd = openSync(dirname(this.#path), "r");
    } catch {
      throw this.#error("exists already; choose another path, or remove it if nothing uses it");
    }
    if (this.#system.lock(fd)) return fd;
    closeSync(fd);
    throw this.#error("exists already, and another program holds a lock on its folder; choose another path");
  }

  #removeLeftover(): void {
    try {
      const found = lstatSync(this.#path);
      if (!found.isSocket()) throw this.#error("exists already and is no socket; choose another path");
      if (found.uid !== process.geteuid?.()) {
        throw this.#error(`exists already and belongs to user ${found.uid}; choose another path`);
      }
      const errno = probe(this.#system, this.#address);
      if (errno < 0) throw this.#error(this.#system.errors.describeError(-errno));
      if (errno !== this.#system.errors.ECONNREFUSED) {
        throw this.#error("exists already and a program has it open; choose another path, or end that program");
      }
      unlinkSync(this.#path);
    } catch (error) {
      if (error instanceof UserError) throw error;
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return; // someone else removed it
      throw this.#error(`exists already and cannot be replaced: ${(error as Error).message}`);
    }
  }

  #bindError(errno: number): string {
    const { errors, ownFolder } = this.#system;
    const { EACCES, EADDRINUSE, ENOENT, ENOTDIR, EPERM, EROFS } = errors;
    const folder = dirname(this.#path);
    if (errno === ENOENT) return `the folder ${folder} does not exist; make it, or choose another path`;
    if (errno === ENOTDIR) return `${folder} is not a folder; choose another path`;
    if (errno === EACCES || errno === EPERM || errno === EROFS) {
      return `no permission to make a socket in ${folder}; choose a folder of your own, such as ${ownFolder}`;
    }
    if (errno === EADDRINUSE) return "exists already; choose another path";
    return errors.describeError(errno);
  }

  #error(words: string): UserError {
    return new UserError(`${this.#label}: ${words}`);
  }
}
