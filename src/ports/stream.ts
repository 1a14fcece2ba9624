/**
 * A connected stream socket with a 4-byte length, most significant byte first, before each frame: QEMU's
 * `-netdev stream`, passt, gvproxy.
 *
 * Receiving: the socket is read in large pieces straight into the batch's slab, and the batch points at the frames where
 * they lie. What is left over behind them (more frames than a batch takes, or the beginning of one) stays where it is
 * until the next call; it moves to the front of the slab only when the rest of a frame would not fit behind it.
 *
 * Sending: the length is written in front of each frame, into the slab's free bytes, and one sendmsg takes all. Where
 * the socket takes only part of a frame, the rest of that one goes to a small buffer, and out as soon as there is room:
 * half a frame followed by another one would be no framing any more.
 *
 * Linux and Darwin have different headers for sendmsg, but the same as far as the list of pieces goes, and zeros behind
 * it: what messages.ts makes for Linux is right for both.
 */
import { MSGHDR } from "../native/linux/libc.ts";
import { allocate, type NativeMemory } from "../native/memory.ts";
import { Poll, type Wake } from "../native/poll.ts";
import { type Batch, HEADROOM, PREFIX } from "../relay/batch.ts";
import { type FramePort, type Interest, PortClosed, PortFailed } from "../relay/port.ts";
import { LinuxMessageHeaders } from "./linux-message-headers.ts";
import { IOVEC_WORDS, LENGTH_WORD, type MessageHeaders } from "./message-headers.ts";
import { PerBatch } from "./per-batch.ts";
import { LONGEST_STREAM_FRAME } from "./slab.ts";
import type { UnixSystem } from "./unix-system.ts";

const SEND_BUFFER = 1024 * 1024;

/** Where the first prefix lies in the slab, so that the first frame lies where a slot's frame would. */
const START = HEADROOM - PREFIX;

export class StreamPort implements FramePort {
  readonly label: string;
  /** The end of a stream is an event. */
  readonly checkInterval = Number.POSITIVE_INFINITY;
  unsendable = 0;
  readonly #system: UnixSystem;
  readonly #poll: Poll;
  readonly #outgoing = new PerBatch((batch) => new LinuxMessageHeaders(batch));
  #fd: number;
  /** Bytes begin … end - 1 of the slab of `#receiving` were received and not handed on yet. */
  #receiving: Batch | undefined;
  #begin = START;
  #end = START;
  /** The rest of a frame that the socket took in part: bytes restBegin … restEnd - 1 of `#rest`. */
  readonly #rest: NativeMemory = allocate(PREFIX + LONGEST_STREAM_FRAME);
  #restBegin = 0;
  #restEnd = 0;
  #readable = false;
  #writable = false;
  #wake: Wake = () => {};
  #failure: Error | undefined;

  /** Takes over the connected stream socket `fd`. */
  constructor(system: UnixSystem, label: string, fd: number) {
    this.label = label;
    this.#system = system;
    this.#fd = fd;
    this.#poll = new Poll(fd);
    system.closeOnExec(fd);
    system.growSendBuffer(fd, SEND_BUFFER);
    system.silence(fd);
  }

  receive(batch: Batch): number {
    this.#throwFailure();
    if (batch !== this.#receiving) this.#moveTo(batch);
    batch.count = 0;
    if (this.#split(batch) > 0) return batch.count; // frames left over from the last piece
    this.#makeRoom(batch);
    const room = batch.bytes.length - this.#end;
    const { libc, receiveFlags } = this.#system;
    const received = libc.recv(this.#fd, batch.address + this.#end, room, receiveFlags);
    if (received < 0) {
      this.#throwUnlessTransient("receive");
      return 0;
    }
    if (received === 0) {
      const partial = this.#end > this.#begin ? " in the middle of a frame" : "";
      throw new PortClosed(this.label, `the other side closed the connection${partial}`);
    }
    this.#end += received;
    return this.#split(batch);
  }

  send(batch: Batch, first: number): number {
    this.#throwFailure();
    if (!this.#flush()) return 0;
    const messages = this.#outgoing.of(batch);
    const { libc, errors, sendFlags } = this.#system;
    const { count } = batch;
    let next = first;
    while (next < count) {
      const run = this.#fill(batch, next, messages);
      if (run === 0) {
        this.unsendable++; // a length of 0 would be a framing error to the other side
        next++;
        continue;
      }
      messages.words[MSGHDR.iovlen / 4] = run;
      const sent = libc.sendmsg(this.#fd, messages.address, sendFlags);
      if (sent < 0) {
        if (this.#throwUnlessTransient("send") === errors.EINTR) continue;
        break;
      }
      next = this.#account(batch, next, sent);
      if (this.#restEnd > this.#restBegin) {
        this.#arm();
        break;
      }
    }
    return next - first;
  }

  watch(interest: Interest, wake: Wake): void {
    this.#readable = interest.readable;
    this.#writable = interest.writable;
    this.#wake = wake;
    this.#arm();
  }

  check(): void {
    this.#poll.rearm();
    this.#throwFailure();
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#poll.close();
    this.#system.libc.close(this.#fd);
    this.#fd = -1;
    this.#outgoing.free();
    this.#rest.free();
  }

  /** Points the batch at the whole frames that lie in the slab; returns how many. */
  #split(batch: Batch): number {
    const { bytes, offset, length, capacity } = batch;
    const end = this.#end;
    let begin = this.#begin;
    let count = 0;
    while (count < capacity && end - begin >= PREFIX) {
      const size = readLength(bytes, begin);
      if (size === 0 || size > LONGEST_STREAM_FRAME) {
        this.#failure = new PortFailed(this.label, `framing error: a frame of ${size} bytes was announced`);
        break;
      }
      if (end - begin - PREFIX < size) break;
      offset[count] = begin + PREFIX;
      length[count] = size;
      count++;
      begin += PREFIX + size;
    }
    this.#begin = begin;
    batch.count = count;
    if (count === 0) this.#throwFailure(); // frames before the error are still handed on
    return count;
  }

  /** Moves the beginning of a frame to the front where its rest would not fit, or little would. No frame is handed out then. */
  #makeRoom(batch: Batch): void {
    if (this.#begin === START) return;
    const { bytes } = batch;
    const held = this.#end - this.#begin;
    if (held > 0 && bytes.length - this.#end >= bytes.length / 2) {
      if (held < PREFIX || PREFIX + readLength(bytes, this.#begin) <= bytes.length - this.#begin) return;
    }
    bytes.copyWithin(START, this.#begin, this.#end);
    this.#begin = START;
    this.#end = START + held;
  }

  /** A batch that was not received into before: what waits in the last one's slab moves over. */
  #moveTo(batch: Batch): void {
    const held = this.#end - this.#begin;
    if (batch.address === 0 || batch.bytes.length < START + Math.max(held, PREFIX + LONGEST_STREAM_FRAME)) {
      throw new Error("the batch is too small for a stream, or lies in no native memory");
    }
    if (this.#receiving !== undefined) batch.bytes.set(this.#receiving.bytes.subarray(this.#begin, this.#end), START);
    this.#receiving = batch;
    this.#begin = START;
    this.#end = START + held;
  }

  /** Describes frames from `first` on for one sendmsg, up to an empty one; returns how many. */
  #fill(batch: Batch, first: number, messages: MessageHeaders): number {
    const { words } = messages;
    const { bytes, offset, length, count } = batch;
    const low = batch.address | 0;
    let iovec = messages.iovecs;
    let index = first;
    for (; index < count && length[index] !== 0; index++) {
      const size = length[index];
      const at = offset[index] - PREFIX;
      bytes[at] = size >>> 24;
      bytes[at + 1] = size >>> 16;
      bytes[at + 2] = size >>> 8;
      bytes[at + 3] = size;
      words[iovec] = low + at;
      words[iovec + LENGTH_WORD] = PREFIX + size;
      iovec += IOVEC_WORDS;
    }
    return index - first;
  }

  /** Goes on behind the frames that `sent` bytes cover; the rest of one that they cover in part is kept for later. */
  #account(batch: Batch, first: number, sent: number): number {
    let next = first;
    let left = sent;
    while (left > 0) {
      const size = PREFIX + batch.length[next];
      if (left < size) {
        const at = batch.offset[next] - PREFIX;
        this.#rest.bytes.set(batch.bytes.subarray(at + left, at + size));
        this.#restBegin = 0;
        this.#restEnd = size - left;
      }
      left -= Math.min(left, size);
      next++;
    }
    return next;
  }

  /** Sends what is left of a frame; returns whether nothing is left. */
  #flush(): boolean {
    const { libc, errors, sendFlags } = this.#system;
    while (this.#restBegin < this.#restEnd) {
      const { address } = this.#rest;
      const left = this.#restEnd - this.#restBegin;
      const sent = libc.send(this.#fd, address + this.#restBegin, left, sendFlags);
      if (sent < 0) {
        if (this.#throwUnlessTransient("send") === errors.EINTR) continue;
        return false;
      }
      this.#restBegin += sent;
    }
    return true;
  }

  /** Watches for what the relay wants, and for room while a frame is not out as a whole. */
  #arm(): void {
    this.#poll.watch(this.#readable, this.#writable || this.#restEnd > this.#restBegin, this.#event);
  }

  readonly #event: Wake = (readable, writable) => {
    if (writable && this.#restEnd > this.#restBegin) {
      try {
        if (this.#flush()) this.#arm();
      } catch (error) {
        this.#failure = error as Error;
      }
    }
    if (this.#readable || this.#writable) this.#wake(readable, writable);
  };

  /** Returns the number of an error that passes. */
  #throwUnlessTransient(doing: string): number {
    const { libc, errors, gone } = this.#system;
    const errno = libc.errno();
    const { EAGAIN, EINTR, ENOBUFS, ENOMEM } = errors;
    if (errno === EAGAIN || errno === EINTR || errno === ENOBUFS || errno === ENOMEM) return errno;
    const words = errors.describeError(errno);
    if (gone.has(errno)) throw new PortClosed(this.label, `the other side is gone (${words})`);
    throw new PortFailed(this.label, `cannot ${doing}: ${words}`);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function readLength(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}
