/** Sockets for tests that Node itself cannot make: pairs of unix datagram and stream sockets, as plain descriptors. */
import koffi from "koffi";
import { EAGAIN } from "../../src/native/linux/errno.ts";
import {
  AF_UNIX,
  F_SETFD,
  FD_CLOEXEC,
  type LinuxLibc,
  loadLibc,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
} from "../../src/native/linux/libc.ts";
import { allocate } from "../../src/native/memory.ts";

export const libc: LinuxLibc = loadLibc();

const socketpair = koffi.load(null).func("int socketpair(int domain, int type, int protocol, _Out_ int *ends)");
const ROOM = 128 * 1024;

/** One end of a pair, used by a test as the program at the other side would. */
export class End {
  readonly fd: number;
  readonly #memory = allocate(ROOM);
  #open = true;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Sends without waiting; answers how many bytes the kernel took, or minus the error number. */
  send(bytes: Uint8Array): number {
    this.#memory.bytes.set(bytes);
    const sent = libc.send(this.fd, this.#memory.address, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -libc.errno() : sent;
  }

  /** What waits here, at most `size` bytes (one datagram), or undefined when nothing does. */
  receive(size: number = ROOM): Buffer | undefined {
    const received = libc.recv(this.fd, this.#memory.address, size, MSG_DONTWAIT);
    if (received < 0) {
      const errno = libc.errno();
      if (errno === EAGAIN) return undefined;
      throw new Error(`recv: error ${errno}`);
    }
    return Buffer.from(this.#memory.bytes.subarray(0, received));
  }

  /** All datagrams that wait here. */
  receiveAll(): Buffer[] {
    const all: Buffer[] = [];
    for (let one = this.receive(); one !== undefined; one = this.receive()) all.push(one);
    return all;
  }

  close(): void {
    if (this.#open) libc.close(this.fd);
    this.#open = false;
  }
}

/** A connected pair: the descriptor for softnet, and the end that the test holds. */
export function pair(type: number): { fd: number; end: End } {
  const ends: [number, number] = [-1, -1];
  if (socketpair(AF_UNIX, type, 0, ends) < 0) throw new Error(`socketpair: error ${libc.errno()}`);
  libc.fcntl(ends[1], F_SETFD, "int", FD_CLOEXEC); // so that a program that gets a copy of our end holds only that
  return { fd: ends[0], end: new End(ends[1]) };
}

/** A frame of `length` bytes that no other number makes; behind the number, no byte is above 0x7f. */
export function frame(number: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index++) bytes[index] = (number * 7 + index * 13) & 0x7f;
  if (length >= 4) bytes.writeUInt32BE(number);
  return bytes;
}
