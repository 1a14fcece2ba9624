/** A connected unix stream socket of Linux as a ByteStream, and how it is made of a descriptor on the command line. */
import { openSync } from "node:fs";
import { describeError, EAGAIN, EINTR, ENOBUFS, ENOMEM } from "../native/linux/errno.ts";
import {
  AF_UNIX,
  F_DUPFD_CLOEXEC,
  type LinuxLibc,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  POLLFD,
  POLLHUP,
  SOCK_STREAM,
} from "../native/linux/libc.ts";
import { allocate, type NativeMemory } from "../native/memory.ts";
import { Poll, type Wake } from "../native/poll.ts";
import { UserError } from "../user-error.ts";
import type { ByteStream } from "./byte-stream.ts";
import { connectedSocket } from "./descriptor.ts";

/** Bytes that are received or sent at once. */
const PIECE = 65_536;
const NOTHING = new Uint8Array(0);
const FIRST_ORDINARY = 3;
const STDERR = 2;
const WANTED = "a connected unix stream socket, such as one end of a socketpair";

/** Throws UserError unless the descriptor is a connected unix stream socket. */
export function checkControlDescriptor(libc: LinuxLibc, fd: number): void {
  if (fd === STDERR) throw new UserError("--control-fd 2: that is where the log goes; pass another descriptor");
  const { domain, type } = connectedSocket(libc, "--control-fd", fd, WANTED);
  if (domain !== AF_UNIX || type !== SOCK_STREAM) {
    throw new UserError(`--control-fd ${fd}: not a unix stream socket; pass ${WANTED}`);
  }
}

/**
 * A close-on-exec copy of the descriptor, which itself is closed, so that the end of the copy is the end of the channel. In
 * place of one of the first three (Tart's is standard output) comes /dev/null: whatever is printed there never arrives.
 */
export function takeControlDescriptor(libc: LinuxLibc, fd: number): number {
  const copy = libc.fcntl(fd, F_DUPFD_CLOEXEC, "int", FIRST_ORDINARY);
  if (copy < 0) throw new UserError(`--control-fd ${fd}: ${describeError(libc.errno())}`);
  if (fd >= FIRST_ORDINARY) {
    libc.close(fd);
    return copy;
  }
  const nothing = openSync("/dev/null", "r+");
  libc.dup2(nothing, fd);
  libc.close(nothing);
  return copy;
}

export class UnixStream implements ByteStream {
  readonly #libc: LinuxLibc;
  readonly #fd: number;
  readonly #poll: Poll;
  readonly #memory: NativeMemory = allocate(PIECE);
  readonly #asked = Buffer.alloc(POLLFD.size);
  #open = true;

  /** Takes over the connected stream socket `fd`. */
  constructor(libc: LinuxLibc, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
    this.#poll = new Poll(fd);
    this.#asked.writeInt32LE(fd);
  }

  receive(): Uint8Array | undefined {
    const received = this.#libc.recv(this.#fd, this.#memory.address, PIECE, MSG_DONTWAIT);
    if (received > 0) return this.#memory.bytes.subarray(0, received);
    if (received === 0) return undefined;
    this.#throwUnlessTransient();
    return NOTHING;
  }

  send(bytes: Uint8Array): number {
    let taken = 0;
    while (taken < bytes.length) {
      const piece = bytes.subarray(taken, taken + PIECE);
      this.#memory.bytes.set(piece);
      const sent = this.#libc.send(this.#fd, this.#memory.address, piece.length, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0) {
        this.#throwUnlessTransient();
        break;
      }
      taken += sent;
      if (sent < piece.length) break;
    }
    return taken;
  }

  watch(readable: boolean, writable: boolean, wake: Wake): void {
    this.#poll.watch(readable, writable, wake);
  }

  check(): boolean {
    this.#poll.rearm();
    if (this.#libc.poll(this.#asked, 1, 0) <= 0) return false;
    return (this.#asked.readInt16LE(POLLFD.found) & POLLHUP) !== 0;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#poll.close();
    this.#libc.close(this.#fd);
    this.#memory.free();
  }

  #throwUnlessTransient(): void {
    const errno = this.#libc.errno();
    if (errno === EAGAIN || errno === EINTR || errno === ENOBUFS || errno === ENOMEM) return;
    throw new Error(describeError(errno));
  }
}
