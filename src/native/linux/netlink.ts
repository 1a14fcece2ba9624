/**
 * Written by hand because Node has no netlink, and a program such as ip would run as root for each request.
 *
 * Netlink (RFC 3549): requests to the Linux kernel as messages on a socket. Only what softnet needs: one request and
 * its answer, without waiting, since the kernel answers such requests before `send` returns.
 *
 * A message is a header of 16 bytes (length, type, flags, sequence number, port), then a fixed struct, then attributes:
 * length and type (2 bytes each), the value, padding to 4 bytes. All in host order.
 */
import { allocate } from "../memory.ts";
import { EAGAIN, EINTR } from "./errno.ts";
import { AF_NETLINK, type LinuxLibc, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_RAW } from "./libc.ts";

/** Protocols of netlink sockets (linux/netlink.h). */
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

export const HEADER_SIZE = 16;
const ATTRIBUTE_HEADER_SIZE = 4;
const ATTRIBUTE_TYPE = 0x3fff; // the two bits above mean "nested" and "network order"
const NLM_F_REQUEST = 1;
/** Flags of a request that changes something: acknowledge success, create, fail if it exists. */
export const NLM_F_ACK = 4;
export const NLM_F_ECHO = 8;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
/** Lists all instead of returning one. */
const NLM_F_DUMP = 0x300;
/** Of a part of a list: what is listed changed meanwhile. */
const NLM_F_DUMP_INTR = 0x10;
/** How often a list is asked for again until it is whole. */
const MOST_ATTEMPTS = 20;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const BUFFER_SIZE = 32 * 1024; // the kernel's own limit for one answer (NLMSG_GOODSIZE is smaller)

/** An answer: the message after its header, or an error number (then the message is empty). */
export interface Answer {
  readonly errno: number;
  readonly message: DataView;
}

const NOTHING = new DataView(new ArrayBuffer(0));

export class Netlink {
  readonly #libc: LinuxLibc;
  readonly #fd: number;
  readonly #memory = allocate(BUFFER_SIZE);
  readonly #view = new DataView(this.#memory.bytes.buffer, this.#memory.bytes.byteOffset, BUFFER_SIZE);
  #sequence = 0;

  /** Returns a socket, or an error number. */
  static open(libc: LinuxLibc, protocol: number): Netlink | number {
    const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    return fd < 0 ? libc.errno() : new Netlink(libc, fd);
  }

  private constructor(libc: LinuxLibc, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
  }

  /** Sends a request. The answer's message is valid until the next request. `body`: the struct with its attributes. */
  request(type: number, body: Uint8Array, flags = 0): Answer {
    const { address, bytes } = this.#memory;
    const view = this.#view;
    if (this.#send(type, body, flags) < 0) return { errno: this.#libc.errno(), message: NOTHING };
    for (;;) {
      const received = this.#libc.recv(this.#fd, address, BUFFER_SIZE, MSG_DONTWAIT);
      if (received < 0) {
        const errno = this.#libc.errno();
        if (errno === EINTR) continue;
        return { errno, message: NOTHING };
      }
      if (received < HEADER_SIZE) return { errno: EAGAIN, message: NOTHING };
      if (view.getUint32(8, true) !== this.#sequence) continue; // a late answer to an earlier request
      const end = Math.min(received, view.getUint32(0, true));
      if (view.getUint16(4, true) === NLMSG_ERROR)
        return { errno: -view.getInt32(HEADER_SIZE, true), message: NOTHING };
      return { errno: 0, message: new DataView(bytes.buffer, bytes.byteOffset + HEADER_SIZE, end - HEADER_SIZE) };
    }
  }

  #send(type: number, body: Uint8Array, flags: number): number {
    const view = this.#view;
    const size = HEADER_SIZE + body.length;
    this.#sequence = (this.#sequence + 1) >>> 0;
    view.setUint32(0, size, true);
    view.setUint16(4, type, true);
    view.setUint16(6, NLM_F_REQUEST | flags, true);
    view.setUint32(8, this.#sequence, true);
    view.setUint32(12, 0, true);
    this.#memory.bytes.set(body, HEADER_SIZE);
    return this.#libc.send(this.#fd, this.#memory.address, size, 0);
  }

  /** Lists: calls `onMessage` for each message, which is valid for the call. Returns an error number, or 0. */
  list(type: number, body: Uint8Array, onMessage: (message: DataView) => void): number {
    return this.#list(type, body, onMessage).errno;
  }

  /**
   * Lists: what `parse` makes of each message, or an error number. Asks again where something changed meanwhile; on a host
   * where it does all the time, the last list is the best there is.
   */
  collect<T>(type: number, body: Uint8Array, parse: (message: DataView) => T | undefined): T[] | number {
    for (let attempt = 1; ; attempt++) {
      const found: T[] = [];
      const { errno, isWhole } = this.#list(type, body, (message) => {
        const one = parse(message);
        if (one !== undefined) found.push(one);
      });
      if (errno !== 0) return errno;
      if (isWhole || attempt === MOST_ATTEMPTS) return found;
    }
  }

  #list(
    type: number,
    body: Uint8Array,
    onMessage: (message: DataView) => void,
  ): { readonly errno: number; readonly isWhole: boolean } {
    let isWhole = true;
    if (this.#send(type, body, NLM_F_DUMP) < 0) return { errno: this.#libc.errno(), isWhole };
    for (;;) {
      const received = this.#libc.recv(this.#fd, this.#memory.address, BUFFER_SIZE, MSG_DONTWAIT);
      if (received < 0) {
        const errno = this.#libc.errno();
        if (errno === EINTR) continue;
        return { errno, isWhole };
      }
      for (const message of messagesOf(this.#view, received)) {
        if (message.sequence !== this.#sequence) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) isWhole = false;
        if (message.type === NLMSG_DONE) return { errno: 0, isWhole };
        if (message.type === NLMSG_ERROR) return { errno: -message.body.getInt32(0, true), isWhole };
        onMessage(message.body);
      }
    }
  }

  close(): void {
    this.#libc.close(this.#fd);
    this.#memory.free();
  }
}

/** One message of a datagram. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly body: DataView;
}

/** The complete messages in the first `size` bytes; a truncated one is left out. */
export function* messagesOf(view: DataView, size: number): Generator<Message, void, undefined> {
  let at = 0;
  while (at + HEADER_SIZE <= size) {
    const length = view.getUint32(at, true);
    if (length < HEADER_SIZE || at + length > size) return;
    const type = view.getUint16(at + 4, true);
    const flags = view.getUint16(at + 6, true);
    const sequence = view.getUint32(at + 8, true);
    const body = new DataView(view.buffer, view.byteOffset + at + HEADER_SIZE, length - HEADER_SIZE);
    yield { type, flags, sequence, body };
    at += (length + 3) & ~3;
  }
}

/** The value of the first attribute of that type behind a struct of `structSize` bytes, or undefined. */
export function findAttribute(message: DataView, structSize: number, type: number): DataView | undefined {
  let at = structSize;
  while (at + ATTRIBUTE_HEADER_SIZE <= message.byteLength) {
    const length = message.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER_SIZE || at + length > message.byteLength) return undefined;
    if ((message.getUint16(at + 2, true) & ATTRIBUTE_TYPE) === type) {
      return new DataView(
        message.buffer,
        message.byteOffset + at + ATTRIBUTE_HEADER_SIZE,
        length - ATTRIBUTE_HEADER_SIZE,
      );
    }
    at += (length + 3) & ~3;
  }
  return undefined;
}

/** An attribute as bytes, padded to 4. */
export function makeAttribute(type: number, value: Uint8Array): Uint8Array {
  const length = ATTRIBUTE_HEADER_SIZE + value.length;
  const bytes = new Uint8Array((length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, length, true);
  view.setUint16(2, type, true);
  bytes.set(value, ATTRIBUTE_HEADER_SIZE);
  return bytes;
}
