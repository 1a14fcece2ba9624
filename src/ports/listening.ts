/**
 * `--vm-socket PATH`: softnet listens on a unix stream socket, and the VM connects to it (QEMU's `-netdev stream`, Lima).
 *
 * It is a port from the start, so that everything else runs while the VM is not there: signals work, the network is
 * looked after and drained. Meanwhile nothing is received, and what is sent is counted as unsendable, as on a card
 * without a cable. A connection, a StreamPort, takes over for as long as it lasts.
 *
 * - Without `reconnects` that is for good: with the first client the listening socket is closed and the path removed.
 *   Others that connect meanwhile are reset by the kernel, later ones find no path; when the VM goes, the port closes.
 * - With `reconnects` the path stays, and a VM that goes may come again: the port waits as at the start. One client at a
 *   time; another one that connects meanwhile waits for its turn.
 * - How the path is made, and when one that is there already is replaced: unix-path.ts.
 */
import { Poll, type Wake } from "../native/poll.ts";
import type { Batch } from "../relay/batch.ts";
import { type FramePort, type Interest, PortClosed, PortFailed } from "../relay/port.ts";
import { UserError } from "../user-error.ts";
import { StreamPort } from "./stream.ts";
import { UnixPath } from "./unix-path.ts";
import type { UnixSystem } from "./unix-system.ts";

/** Clients that may wait to be accepted: the fewest that both systems know how to count. */
const BACKLOG = 1;

export interface ListeningOptions {
  /** A VM that goes may come again. */
  readonly reconnects?: boolean;
}

export class ListeningPort implements FramePort {
  readonly label: string;
  readonly path: string;
  readonly checkInterval = Number.POSITIVE_INFINITY;
  /** Called when the VM has connected, and when it has gone and may come again. */
  onConnect: () => void = () => {};
  onLeave: (why: string) => void = () => {};
  readonly #system: UnixSystem;
  readonly #place: UnixPath;
  readonly #reconnects: boolean;
  #fd = -1;
  #poll: Poll | undefined;
  #connection: StreamPort | undefined;
  #interest: Interest = { readable: false, writable: false };
  #wake: Wake = () => {};
  #failure: Error | undefined;
  #unsendable = 0;

  /** Touches nothing yet; `option` is what the user typed (`--vm-socket`). Throws UserError for what can be no path. */
  constructor(system: UnixSystem, option: string, path: string, { reconnects = false }: ListeningOptions = {}) {
    this.label = `${option} ${path}`;
    this.path = path;
    this.#system = system;
    this.#reconnects = reconnects;
    this.#place = new UnixPath(system, this.label, path);
  }

  get unsendable(): number {
    return this.#unsendable + (this.#connection?.unsendable ?? 0);
  }

  /** Makes the path and waits there from now on, with the rights that the process has now. Throws UserError. */
  listen(): void {
    const { libc, errors } = this.#system;
    const fail = (): UserError => new UserError(`${this.label}: ${errors.describeError(libc.errno())}`);
    const fd = this.#system.socket("stream");
    if (fd < 0) throw fail();
    try {
      this.#place.bind(fd);
      if (libc.listen(fd, BACKLOG) < 0) throw fail();
    } catch (error) {
      this.#place.remove();
      libc.close(fd);
      throw error;
    }
    this.#fd = fd;
    this.#poll = new Poll(fd);
    this.#poll.watch(true, false, this.#accept);
  }

  receive(batch: Batch): number {
    if (this.#connection !== undefined) {
      try {
        return this.#connection.receive(batch);
      } catch (error) {
        this.#leave(error);
      }
    }
    this.#throwFailure();
    batch.count = 0;
    return 0;
  }

  send(batch: Batch, first: number): number {
    if (this.#connection !== undefined) {
      try {
        return this.#connection.send(batch, first);
      } catch (error) {
        this.#leave(error);
      }
    }
    this.#throwFailure();
    const count = batch.count - first;
    this.#unsendable += count;
    return count;
  }

  watch(interest: Interest, wake: Wake): void {
    this.#interest = interest;
    this.#wake = wake;
    this.#connection?.watch(interest, wake);
  }

  check(): void {
    try {
      this.#connection?.check();
    } catch (error) {
      this.#leave(error);
    }
    this.#poll?.rearm();
    this.#throwFailure();
  }

  close(): void {
    this.#stopListening();
    this.#connection?.close();
  }

  /** Takes a client. */
  readonly #accept = (): void => {
    const { errors, libc } = this.#system;
    const fd = this.#system.accept(this.#fd);
    if (fd < 0) {
      const errno = libc.errno();
      if (errno === errors.EAGAIN || errno === errors.EINTR || errno === errors.ECONNABORTED) return; // it has gone again
      this.#failure = new PortFailed(this.label, `cannot accept the VM: ${errors.describeError(errno)}`);
      this.#poll?.watch(false, false, this.#accept);
      this.#wake(true, true); // to meet it
      return;
    }
    if (this.#reconnects) this.#poll?.watch(false, false, this.#accept);
    else this.#stopListening();
    this.#connection = new StreamPort(this.#system, this.label, fd);
    this.#connection.watch(this.#interest, this.#wake);
    this.onConnect();
  };

  /** The connection has ended with this error. Throws it where that is the end of the port. */
  #leave(error: unknown): void {
    if (!this.#reconnects || !(error instanceof PortClosed)) throw error;
    this.#unsendable += this.#connection?.unsendable ?? 0;
    this.#connection?.close();
    this.#connection = undefined;
    this.#poll?.watch(true, false, this.#accept);
    this.onLeave(error.message);
    if (this.#interest.writable) setImmediate(() => this.#wake(false, true)); // what waits for room need not wait
  }

  #stopListening(): void {
    if (this.#fd < 0) return;
    this.#place.remove(); // while the socket is open: it holds the inode, whose number no other path can have then
    this.#poll?.close();
    this.#system.libc.close(this.#fd);
    this.#fd = -1;
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
