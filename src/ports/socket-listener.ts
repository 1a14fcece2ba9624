/**
 * A unix stream socket with a path of its own, for several clients, each a ByteStream. How the path is made, and when one
 * that is there already is replaced: unix-path.ts.
 */
import { Poll } from "../native/poll.ts";
import { UserError } from "../user-error.ts";
import type { ByteStream } from "./byte-stream.ts";
import { SocketStream } from "./socket-stream.ts";
import { UnixPath } from "./unix-path.ts";
import type { UnixSystem } from "./unix-system.ts";

const BACKLOG = 16;

export class SocketListener {
  readonly #system: UnixSystem;
  readonly #fd: number;
  readonly #place: UnixPath;
  readonly #poll: Poll;
  readonly #onClient: (stream: ByteStream) => void;
  #open = true;
  #resting = false;

  /** Makes the path with the rights that the process has now. `option` is what the user typed. Throws UserError. */
  constructor(system: UnixSystem, option: string, path: string, onClient: (stream: ByteStream) => void) {
    this.#system = system;
    this.#onClient = onClient;
    const { libc, errors } = system;
    const label = `${option} ${path}`;
    this.#place = new UnixPath(system, label, path);
    const fd = system.socket("stream");
    if (fd < 0) throw new UserError(`${label}: ${errors.describeError(libc.errno())}`);
    try {
      this.#place.bind(fd);
      if (libc.listen(fd, BACKLOG) < 0) throw new UserError(`${label}: ${errors.describeError(libc.errno())}`);
    } catch (error) {
      this.#place.remove();
      libc.close(fd);
      throw error;
    }
    this.#fd = fd;
    this.#poll = new Poll(fd);
    this.#poll.watch(true, false, this.#accept);
  }

  /** Whether accepting has failed, and `check` must be called for it to go on. */
  get resting(): boolean {
    return this.#resting;
  }

  /** On a tick: listens again where accepting had failed, for want of descriptors say. */
  check(): void {
    if (!this.#open) return;
    this.#poll.rearm();
    if (!this.#resting) return;
    this.#resting = false;
    this.#poll.watch(true, false, this.#accept);
  }

  /** Ends listening and removes the path; clients stay. Harmless when called twice. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#place.remove(); // while the socket is open: it holds the inode
    this.#poll.close();
    this.#system.libc.close(this.#fd);
  }

  /** One client at a time: the watch calls again while there are more. */
  readonly #accept = (): void => {
    const fd = this.#system.accept(this.#fd);
    if (fd >= 0) {
      this.#onClient(new SocketStream(this.#system, fd));
      return;
    }
    const { EAGAIN, EINTR, ECONNABORTED } = this.#system.errors;
    const errno = this.#system.libc.errno();
    if (errno === EAGAIN || errno === EINTR || errno === ECONNABORTED) return;
    this.#resting = true; // the client that waits would wake us for ever
    this.#poll.watch(false, false, this.#accept);
  };
}
