/** A connected unix stream socket as a ByteStream. */
import { allocate, type NativeMemory } from "../native/memory.ts";
import { Poll, type Wake } from "../native/poll.ts";
import type { ByteStream } from "./byte-stream.ts";
import type { UnixSystem } from "./unix-system.ts";

/** Bytes that are received or sent at once. */
const PIECE = 65_536;
const NOTHING = new Uint8Array(0);

export class SocketStream implements ByteStream {
  readonly #system: UnixSystem;
  readonly #fd: number;
  readonly #poll: Poll;
  readonly #memory: NativeMemory = allocate(PIECE);
  #open = true;

  /** Takes over the connected stream socket `fd`. */
  constructor(system: UnixSystem, fd: number) {
    this.#system = system;
    this.#fd = fd;
    this.#poll = new Poll(fd);
    system.silence(fd);
  }

  receive(): Uint8Array | undefined {
    const { libc, receiveFlags } = this.#system;
    const received = libc.recv(this.#fd, this.#memory.address, PIECE, receiveFlags);
    if (received > 0) return this.#memory.bytes.subarray(0, received);
    if (received === 0) return undefined;
    this.#throwUnlessTransient();
    return NOTHING;
  }

  send(bytes: Uint8Array): number {
    const { libc, sendFlags } = this.#system;
    let taken = 0;
    while (taken < bytes.length) {
      const piece = bytes.subarray(taken, taken + PIECE);
      this.#memory.bytes.set(piece);
      const sent = libc.send(this.#fd, this.#memory.address, piece.length, sendFlags);
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
    return this.#system.hasHungUp(this.#fd);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#poll.close();
    this.#system.libc.close(this.#fd);
    this.#memory.free();
  }

  #throwUnlessTransient(): void {
    const { libc, errors } = this.#system;
    const errno = libc.errno();
    const { EAGAIN, EINTR, ENOBUFS, ENOMEM } = errors;
    if (errno === EAGAIN || errno === EINTR || errno === ENOBUFS || errno === ENOMEM) return;
    throw new Error(errors.describeError(errno));
  }
}
