/**
 * `--vm-socket PATH`: softnet listens on a unix stream socket, and the VM connects to it (QEMU's `-netdev stream`).
 *
 * It is a port from the start, so that everything else runs while the VM is not there yet: signals are heard, the
 * network is looked after and drained. Until then nothing is received, and what is sent is counted as unsendable, as on a
 * card without a cable. Then the connection, a StreamPort, takes over for good.
 *
 * - One client: with the first one the listening socket is closed and the path removed. Others that connect meanwhile
 *   are reset by the kernel, later ones find no path.
 * - How the path is made, and when one that is there already is replaced: unix-path.ts.
 */
import { describeError, EAGAIN, ECONNABORTED, EINTR } from "../native/linux/errno.ts";
import { AF_UNIX, type LinuxLibc, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "../native/linux/libc.ts";
import { Poll, type Wake } from "../native/poll.ts";
import type { Batch } from "../relay/batch.ts";
import { type FramePort, type Interest, PortFailed } from "../relay/port.ts";
import { UserError } from "../user-error.ts";
import { linuxUnix } from "./linux-unix.ts";
import { StreamPort } from "./stream.ts";
import { UnixPath } from "./unix-path.ts";

export class ListeningPort implements FramePort {
  readonly label: string;
  readonly path: string;
  readonly checkInterval = Number.POSITIVE_INFINITY;
  /** Called once, when the VM has connected. */
  onConnect: () => void = () => {};
  readonly #libc: LinuxLibc;
  readonly #place: UnixPath;
  #fd = -1;
  #poll: Poll | undefined;
  #connection: StreamPort | undefined;
  #interest: Interest = { readable: false, writable: false };
  #wake: Wake = () => {};
  #failure: Error | undefined;
  #unsendable = 0;

  /** Touches nothing yet; `option` is what the user typed (`--vm-socket`). Throws UserError for what can be no path. */
  constructor(libc: LinuxLibc, option: string, path: string) {
    this.label = `${option} ${path}`;
    this.path = path;
    this.#libc = libc;
    this.#place = new UnixPath(linuxUnix(libc), this.label, path);
  }

  get unsendable(): number {
    return this.#unsendable + (this.#connection?.unsendable ?? 0);
  }

  /** Makes the path and waits there from now on, with the rights that the process has now. Throws UserError. */
  listen(): void {
    const fd = this.#libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) throw new UserError(`${this.label}: ${describeError(this.#libc.errno())}`);
    try {
      this.#place.bind(fd);
      // The shortest queue there is: one client may wait.
      if (this.#libc.listen(fd, 0) < 0) throw new UserError(`${this.label}: ${describeError(this.#libc.errno())}`);
    } catch (error) {
      this.#place.remove();
      this.#libc.close(fd);
      throw error;
    }
    this.#fd = fd;
    this.#poll = new Poll(fd);
    this.#poll.watch(true, false, this.#accept);
  }

  receive(batch: Batch): number {
    if (this.#connection !== undefined) return this.#connection.receive(batch);
    this.#throwFailure();
    batch.count = 0;
    return 0;
  }

  send(batch: Batch, first: number): number {
    if (this.#connection !== undefined) return this.#connection.send(batch, first);
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
    this.#connection?.check();
    this.#poll?.rearm();
    this.#throwFailure();
  }

  close(): void {
    this.#stopListening();
    this.#connection?.close();
  }

  /** Takes the first client, and nobody after it. */
  readonly #accept = (): void => {
    const fd = this.#libc.accept4(this.#fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      const errno = this.#libc.errno();
      if (errno === EAGAIN || errno === EINTR || errno === ECONNABORTED) return; // that one has gone again
      this.#failure = new PortFailed(this.label, `cannot accept the VM: ${describeError(errno)}`);
      this.#poll?.watch(false, false, this.#accept);
      this.#wake(true, true); // to meet it
      return;
    }
    this.#stopListening();
    this.#connection = new StreamPort(this.#libc, this.label, fd);
    this.#connection.watch(this.#interest, this.#wake);
    this.onConnect();
  };

  #stopListening(): void {
    if (this.#fd < 0) return;
    this.#place.remove(); // while the socket is open: it holds the inode, whose number no other path can have then
    this.#poll?.close();
    this.#libc.close(this.#fd);
    this.#fd = -1;
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
