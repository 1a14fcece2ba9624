/**
 * A connected unix datagram socket on macOS, `--vm-fd`: one datagram is one frame. Tart's VMs speak it. What Linux's
 * port (datagram.ts) does with recvmmsg and sendmmsg, this one does with Darwin's own batch calls where the kernel can be
 * trusted with them (native/darwin/release.ts), else with one recv or send a frame.
 *
 * Three things are otherwise on Darwin:
 * - Sending never waits: where the *receiver's* buffer has no room, it fails with ENOBUFS, and no event that could be
 *   relied on tells when there is room. The unsent rest stays with the relay, which serves the other direction meanwhile;
 *   this port wakes it to try again (retry.ts).
 * - When the peer closes, nothing wakes us, and what fails then fails once. So each wake and each `check` asks getpeername.
 * - How many frames can wait for us is our receive buffer's size.
 */
import { describeError, EAGAIN, EBADF, EINTR, EMSGSIZE, ENOBUFS, ENOMEM, ENOTSOCK } from "../native/darwin/errno.ts";
import {
  AF_UNIX,
  type DarwinLibc,
  F_SETFD,
  FD_CLOEXEC,
  MSG_DONTWAIT,
  SO_NOSIGPIPE,
  SO_RCVBUF,
  SO_SNDBUF,
  SO_TYPE,
  SOCK_DGRAM,
  SOCKADDR,
  SOL_SOCKET,
} from "../native/darwin/libc.ts";
import type { DarwinFeatures } from "../native/darwin/release.ts";
import { allocate, type NativeMemory } from "../native/memory.ts";
import { Poll, type Wake } from "../native/poll.ts";
import type { Batch } from "../relay/batch.ts";
import { type FramePort, type Interest, PortClosed, PortFailed } from "../relay/port.ts";
import { UserError } from "../user-error.ts";
import { DarwinMessageHeaders, HEADER_WORDS, RECEIVED_WORD } from "./darwin-message-headers.ts";
import { GONE } from "./darwin-unix.ts";
import { IOVEC_WORDS, LENGTH_WORD } from "./message-headers.ts";
import { PerBatch } from "./per-batch.ts";
import { Retry } from "./retry.ts";

/** Room for what the VM sends while we are kept from running; as much as Tart gives both ends. */
const RECEIVE_BUFFER = 4 * 1024 * 1024;
/** Bounds one datagram only: above the longest frame. */
const SEND_BUFFER = 1024 * 1024;

const WANTED = "a connected unix datagram socket, such as one end of a socketpair";
/** The receiver has no room. */
const FULL = -1;

export class DarwinDatagramPort implements FramePort {
  readonly label: string;
  unsendable = 0;
  readonly #libc: DarwinLibc;
  readonly #features: DarwinFeatures;
  readonly #poll: Poll;
  readonly #retry: Retry;
  /** A sockaddr and its length, for getpeername. */
  readonly #peer: NativeMemory;
  readonly #peerLength: Uint32Array;
  readonly #outgoing = new PerBatch((batch) => new DarwinMessageHeaders(batch));
  #fd: number;
  #wake: Wake = () => {};
  readonly #incoming = new PerBatch((batch) => new DarwinMessageHeaders(batch).coverSlots(), 1);

  /** Takes over descriptor `fd`, which the user gave as `option`. Throws UserError when it is not of the right kind. */
  constructor(libc: DarwinLibc, features: DarwinFeatures, option: string, fd: number) {
    this.label = `${option} ${fd}`;
    this.#libc = libc;
    this.#features = features;
    this.#peer = allocate(SOCKADDR.size + 4);
    this.#peerLength = new Uint32Array(this.#peer.bytes.buffer, this.#peer.bytes.byteOffset + SOCKADDR.size, 1);
    this.#fd = fd;
    try {
      this.#refuseOther();
    } catch (error) {
      this.#peer.free();
      throw error;
    }
    this.#poll = new Poll(fd);
    this.#retry = new Retry(() => this.#wake(false, true));
    // Programs that softnet starts must not inherit a copy: then closing would go unnoticed at the other end.
    if (fd > 2) libc.fcntl(fd, F_SETFD, "int", FD_CLOEXEC);
    libc.setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, [1], 4); // the batch call takes no flag for it
    this.#grow(SO_RCVBUF, RECEIVE_BUFFER);
    this.#grow(SO_SNDBUF, SEND_BUFFER);
  }

  receive(batch: Batch): number {
    return this.#features.receivesBatches ? this.#receiveBatch(batch) : this.#receiveSingly(batch);
  }

  send(batch: Batch, first: number): number {
    return this.#features.sendsBatches ? this.#sendBatch(batch, first) : this.#sendSingly(batch, first);
  }

  watch(interest: Interest, wake: Wake): void {
    this.#wake = wake;
    this.#poll.watch(interest.readable, false, this.#event);
    if (interest.writable) this.#retry.start();
    else this.#retry.stop();
  }

  check(): void {
    this.#poll.rearm();
    if (!this.#hasPeer()) throw this.#gone();
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#retry.stop();
    this.#poll.close();
    this.#libc.close(this.#fd);
    this.#fd = -1;
    this.#incoming.free();
    this.#outgoing.free();
    this.#peer.free();
  }

  /** With its peer gone, the socket may be called readable for ever: both, so that whatever comes first throws. */
  readonly #event: Wake = (readable) => {
    if (this.#hasPeer()) this.#wake(readable, false);
    else this.#wake(true, true);
  };

  #receiveBatch(batch: Batch): number {
    batch.count = 0;
    const messages = this.#incoming.of(batch);
    const received = this.#libc.recvmsg_x(this.#fd, messages.address, batch.capacity, MSG_DONTWAIT);
    if (received < 0) return this.#nothing(this.#libc.errno());
    const { words } = messages;
    const { offset, length } = batch;
    for (let index = 0; index < received; index++) {
      const header = index * HEADER_WORDS;
      offset[index] = batch.slotOffset(index);
      length[index] = words[header + RECEIVED_WORD];
      messages.reset(header);
    }
    batch.count = received;
    return received;
  }

  #receiveSingly(batch: Batch): number {
    const { offset, length, capacity, slotSize } = batch;
    batch.count = 0;
    let count = 0;
    while (count < capacity) {
      const at = batch.slotOffset(count);
      const received = this.#libc.recv(this.#fd, batch.address + at, slotSize, MSG_DONTWAIT);
      if (received < 0) {
        const errno = this.#libc.errno();
        // What came before goes first: the next call meets the error, or the peer's absence.
        if (count > 0) break;
        return this.#nothing(errno);
      }
      offset[count] = at;
      length[count] = received;
      count++;
    }
    batch.count = count;
    return count;
  }

  /** An error when nothing was received: none at all, or it is thrown. */
  #nothing(errno: number): 0 {
    if (errno !== EAGAIN && errno !== EINTR && errno !== ENOMEM && errno !== ENOBUFS)
      throw this.#failure("receive", errno);
    if (!this.#hasPeer()) throw this.#gone();
    return 0;
  }

  #sendBatch(batch: Batch, first: number): number {
    const messages = this.#outgoing.of(batch);
    const { words, iovecs } = messages;
    const { offset, length, count } = batch;
    const low = batch.address | 0;
    let next = first;
    while (next < count) {
      let run = 0;
      let iovec = iovecs;
      for (let index = next; index < count && length[index] !== 0; index++) {
        words[iovec] = low + offset[index];
        words[iovec + LENGTH_WORD] = length[index];
        messages.reset(run * HEADER_WORDS);
        iovec += IOVEC_WORDS;
        run++;
      }
      if (run === 0) {
        this.unsendable++; // an empty datagram reads as end of file to some programs
        next++;
        continue;
      }
      const sent = this.#libc.sendmsg_x(this.#fd, messages.address, run, MSG_DONTWAIT);
      // After a short count the next call shows what stopped it.
      const step = sent > 0 ? sent : this.#afterFailure(sent < 0 ? this.#libc.errno() : ENOBUFS);
      if (step < 0) break;
      next += step;
    }
    return next - first;
  }

  #sendSingly(batch: Batch, first: number): number {
    const { offset, length, count, address } = batch;
    let next = first;
    while (next < count) {
      if (length[next] === 0) {
        this.unsendable++;
        next++;
        continue;
      }
      const sent = this.#libc.send(this.#fd, address + offset[next], length[next], MSG_DONTWAIT);
      const step = sent >= 0 ? 1 : this.#afterFailure(this.#libc.errno());
      if (step < 0) break;
      next += step;
    }
    return next - first;
  }

  /** After a send that failed: how many frames to step over, or FULL. */
  #afterFailure(errno: number): number {
    if (errno === ENOBUFS || errno === EAGAIN || errno === ENOMEM) return FULL;
    if (errno === EINTR) return 0;
    if (errno !== EMSGSIZE) throw this.#failure("send", errno);
    this.unsendable++;
    return 1;
  }

  #hasPeer(): boolean {
    if (this.#fd < 0) return false;
    const { address } = this.#peer;
    this.#peerLength[0] = SOCKADDR.size;
    return this.#libc.getpeername(this.#fd, address, address + SOCKADDR.size) === 0;
  }

  #failure(doing: string, errno: number): Error {
    if (GONE.has(errno)) return this.#gone(describeError(errno));
    return new PortFailed(this.label, `cannot ${doing}: ${describeError(errno)}`);
  }

  #gone(how?: string): PortClosed {
    return new PortClosed(this.label, `the other side is gone${how === undefined ? "" : ` (${how})`}`);
  }

  #refuseOther(): void {
    const libc = this.#libc;
    const fd = this.#fd;
    const refuse = (why: string): UserError => new UserError(`${this.label}: ${why}; pass ${WANTED}`);
    const type: [number] = [0];
    if (libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, type, [4]) < 0) {
      const errno = libc.errno();
      if (errno === EBADF) throw refuse("this descriptor is not open");
      throw refuse(errno === ENOTSOCK ? "not a socket" : describeError(errno));
    }
    if (type[0] !== SOCK_DGRAM) throw refuse("not a datagram socket");
    if (!this.#hasPeer()) throw refuse("the socket is not connected");
    if (this.#peer.bytes[SOCKADDR.family] !== AF_UNIX) throw refuse("not a unix socket");
  }

  /** Makes a buffer at least this large, as far as the kernel lets us. */
  #grow(option: number, size: number): void {
    const now: [number] = [0];
    if (this.#libc.getsockopt(this.#fd, SOL_SOCKET, option, now, [4]) === 0 && now[0] >= size) return;
    this.#libc.setsockopt(this.#fd, SOL_SOCKET, option, [size], 4);
  }
}
