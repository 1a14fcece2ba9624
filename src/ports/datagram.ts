/**
 * A connected unix datagram socket: one datagram is one frame. Tart's and QEMU's VMs speak it (`--vm-fd`), vmnet-helper
 * and gvproxy on the host side (`--host-fd`).
 *
 * Frames move in batches of one system call, straight between the kernel and the batch's slab. The message headers are
 * built once for each batch: for receiving, every iovec covers one slot and never changes; for sending, two words are
 * written for each frame.
 *
 * No event reports that the peer of a datagram socket closes; so `check` asks the kernel (native/linux/sock-diag.ts). Where it
 * cannot be asked, only the next send finds out (`seesPeer` is false then).
 */
import { EAGAIN, EINTR, EMSGSIZE, ENOBUFS, ENOMEM } from "../native/linux/errno.ts";
import { AF_UNIX, type LinuxLibc, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_DGRAM } from "../native/linux/libc.ts";
import { UnixPeers } from "../native/linux/sock-diag.ts";
import { Poll, type Wake } from "../native/poll.ts";
import type { Batch } from "../relay/batch.ts";
import { type FramePort, type Interest, PortClosed } from "../relay/port.ts";
import { UserError } from "../user-error.ts";
import { closeOnExec, connectedSocket, growSendBuffer, inodeOf } from "./descriptor.ts";
import { failure } from "./failure.ts";
import { HEADER_WORDS, LinuxMessageHeaders, RECEIVED_WORD } from "./linux-message-headers.ts";
import { IOVEC_WORDS, LENGTH_WORD } from "./message-headers.ts";
import { PerBatch } from "./per-batch.ts";

/** Room for some hundred frames on their way to the other end. */
const SEND_BUFFER = 1024 * 1024;

/** Milliseconds between two looks at the peer of an idle socket: a look costs a few hundred microseconds, for waking up. */
const PEER_INTERVAL = 2000;

const WANTED = "a connected unix datagram socket, such as one end of a socketpair";

export class DatagramPort implements FramePort {
  readonly label: string;
  /** Whether `check` can see that the peer has closed; else only the next send does. */
  readonly seesPeer: boolean;
  readonly checkInterval: number;
  unsendable = 0;
  readonly #libc: LinuxLibc;
  readonly #poll: Poll;
  readonly #peers: UnixPeers | undefined;
  readonly #inode: number;
  readonly #outgoing = new PerBatch((batch) => new LinuxMessageHeaders(batch));
  #fd: number;
  readonly #incoming = new PerBatch((batch) => new LinuxMessageHeaders(batch).coverSlots(), 1);

  /** Takes over descriptor `fd`, which the user gave as `option`. Throws UserError when it is not of the right kind. */
  constructor(libc: LinuxLibc, option: string, fd: number) {
    const { domain, type } = connectedSocket(libc, option, fd, WANTED);
    if (domain !== AF_UNIX) throw new UserError(`${option} ${fd}: not a unix socket; pass ${WANTED}`);
    if (type !== SOCK_DGRAM) throw new UserError(`${option} ${fd}: not a datagram socket; pass ${WANTED}`);
    this.label = `${option} ${fd}`;
    this.#libc = libc;
    this.#fd = fd;
    this.#poll = new Poll(fd);
    this.#inode = inodeOf(fd);
    closeOnExec(libc, fd);
    growSendBuffer(libc, fd, SEND_BUFFER);
    const peers = UnixPeers.open(libc);
    this.seesPeer = peers !== undefined && peers.peerOf(this.#inode) !== "unknown";
    if (!this.seesPeer) peers?.close();
    this.#peers = this.seesPeer ? peers : undefined;
    this.checkInterval = this.seesPeer ? PEER_INTERVAL : Number.POSITIVE_INFINITY;
  }

  receive(batch: Batch): number {
    const messages = this.#incoming.of(batch);
    const received = this.#libc.recvmmsg(this.#fd, messages.address, batch.capacity, MSG_DONTWAIT, 0);
    if (received < 0) {
      batch.count = 0;
      const errno = this.#libc.errno();
      if (errno === EAGAIN || errno === EINTR || errno === ENOMEM || errno === ENOBUFS) return 0;
      throw failure(this.label, "receive", errno);
    }
    const { words } = messages;
    const { offset, length } = batch;
    for (let index = 0; index < received; index++) {
      offset[index] = batch.slotOffset(index);
      length[index] = words[index * HEADER_WORDS + RECEIVED_WORD];
    }
    batch.count = received;
    return received;
  }

  send(batch: Batch, first: number): number {
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
        iovec += IOVEC_WORDS;
        run++;
      }
      if (run === 0) {
        // An empty datagram reads as end of file to some programs (it stops QEMU's receiver).
        this.unsendable++;
        next++;
        continue;
      }
      const sent = this.#libc.sendmmsg(this.#fd, messages.address, run, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) {
        next += sent;
        continue; // after a short count the next call shows what stopped it
      }
      const errno = this.#libc.errno();
      if (errno === EMSGSIZE) {
        this.unsendable++;
        next++;
      } else if (errno === EAGAIN || errno === ENOBUFS || errno === ENOMEM) {
        break;
      } else if (errno !== EINTR) {
        throw failure(this.label, "send", errno);
      }
    }
    return next - first;
  }

  watch(interest: Interest, wake: Wake): void {
    this.#poll.watch(interest.readable, interest.writable, wake);
  }

  check(): void {
    this.#poll.rearm();
    if (this.#peers?.peerOf(this.#inode) === "gone") throw new PortClosed(this.label, "the other side is gone");
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#poll.close();
    this.#peers?.close();
    this.#libc.close(this.#fd);
    this.#fd = -1;
    this.#incoming.free();
    this.#outgoing.free();
  }
}
