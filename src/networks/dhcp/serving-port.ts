/**
 * A network's port with a DHCP server in it: the VM's DHCP goes to the server and never further, and no other server is
 * heard. Everything else passes through untouched, for two or three compares a frame.
 *
 *   send      frames to UDP port 67 are taken out and answered; the runs of frames between them go to the wrapped port
 *   receive   replies first, in a batch of their own; then what the wrapped port has, without frames 67 → 68
 *
 * A reply is an ordinary frame from the network: the relay shows it to the guard, which learns the binding from it as
 * from any server's.
 *
 * The relay takes a batch that is not full for the end of what waits (relay/port.ts), but a batch of replies tells
 * nothing about the wrapped port, and one that was full is not any more when frames were refused. After both, as when a
 * reply is queued, the port wakes the relay by itself, in the event loop's next turn.
 *
 * Replies are written over the batch's slots, so the wrapped port must be one that keeps no bytes in the slab between
 * calls: a TAP, not a stream.
 */

import { verdictOf } from "../../guard/reasons.ts";
import type { Batch } from "../../relay/batch.ts";
import { INGRESS } from "../../relay/direction.ts";
import type { DropCounter, FramePort, Interest } from "../../relay/port.ts";
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT } from "../../wire/dhcp.ts";
import { FrameView } from "../../wire/frame-view.ts";
import { PROTOCOL_UDP } from "../../wire/ipv4.ts";
import { COMPLETE } from "../../wire/virtio-net.ts";

/** Replies that wait while the VM takes none; a further one is dropped, and its client asks again. */
const MOST_REPLIES = 8;

/** Under which reasons this port's drops are counted. */
const FOREIGN_SERVER = verdictOf("dhcp.server");
const TOO_MANY_REPLIES = verdictOf("dhcp.pending");

/** What a frame is to this port. */
const NOT_DHCP = 0;
const TO_SERVER = 1;
const FROM_SERVER = 2;

/** The server as this port sees it (server.ts). */
export interface ReplySource {
  answer(view: FrameView): Uint8Array | undefined;
}

export class ServingPort implements FramePort {
  /** Frames of another DHCP server that were not let in. */
  refused = 0;
  /** Replies that found the queue full, or no slot long enough. */
  dropped = 0;
  /** How many of them the relay's counters have. */
  #countedRefused = 0;
  #countedDropped = 0;
  readonly #port: FramePort;
  readonly #server: ReplySource;
  readonly #replies: Uint8Array[] = [];
  /** Of frames that are sent, and of those that are received: their batches are two. */
  readonly #sent = new FrameView();
  readonly #received = new FrameView();
  /** The wrapped port may have frames that no event reports. */
  #maybeMore = false;
  #readable = false;
  #wake: (readable: boolean, writable: boolean) => void = () => {};
  #soon: NodeJS.Immediate | undefined;

  /** Takes over `port`: closes it when it is closed itself. */
  constructor(port: FramePort, server: ReplySource) {
    this.#port = port;
    this.#server = server;
  }

  get label(): string {
    return this.#port.label;
  }

  get checkInterval(): number | undefined {
    return this.#port.checkInterval;
  }

  get unsendable(): number {
    return this.#port.unsendable;
  }

  get takesOffloads(): boolean {
    return this.#port.takesOffloads ?? false;
  }

  /** DHCP is complete when it comes here (guard/ipv4/offload.ts), so the server sees what it would see without. */
  enableOffloads(): boolean {
    return this.#port.enableOffloads?.() ?? false;
  }

  receive(batch: Batch): number {
    if (this.#replies.length > 0) return this.#handOut(batch);
    this.#maybeMore = false;
    const received = this.#port.receive(batch);
    const kept = this.#refuse(batch);
    if (kept < received && received === batch.capacity) this.#expectMore();
    return kept;
  }

  send(batch: Batch, first: number): number {
    const { bytes, offset, length, count } = batch;
    let unsent = first;
    for (let index = first; index < count; index++) {
      this.#sent.read(bytes, offset[index], length[index]);
      if (kindOf(this.#sent) !== TO_SERVER) continue;
      // In order, and asked once only: when the frames in front of it are not all taken, it is not taken either.
      unsent += this.#sendRun(batch, unsent, index);
      if (unsent < index) return unsent - first;
      this.#ask(this.#sent);
      unsent = index + 1;
    }
    return unsent + this.#sendRun(batch, unsent, count) - first;
  }

  watch(interest: Interest, wake: (readable: boolean, writable: boolean) => void): void {
    this.#port.watch(interest, wake);
    this.#wake = wake;
    this.#readable = interest.readable;
    if (!this.#readable) this.#cancelWake();
    else if (this.#hasMore()) this.#wakeSoon();
  }

  check(): void {
    this.#port.check();
  }

  countDrops(count: DropCounter): void {
    count(INGRESS, FOREIGN_SERVER, this.refused - this.#countedRefused);
    count(INGRESS, TOO_MANY_REPLIES, this.dropped - this.#countedDropped);
    this.#countedRefused = this.refused;
    this.#countedDropped = this.dropped;
    this.#port.countDrops?.(count);
  }

  close(): void {
    this.#readable = false;
    this.#cancelWake();
    this.#port.close();
  }

  /** Sends frames `from … to - 1`; returns how many were taken. The batch is as it was, afterwards. */
  #sendRun(batch: Batch, from: number, to: number): number {
    if (from === to) return 0;
    const { count } = batch;
    batch.count = to;
    try {
      return this.#port.send(batch, from);
    } finally {
      batch.count = count;
    }
  }

  #ask(view: FrameView): void {
    const reply = this.#server.answer(view);
    if (reply === undefined) return;
    if (this.#replies.length === MOST_REPLIES) {
      this.dropped++;
      return;
    }
    this.#replies.push(reply);
    this.#wakeSoon();
  }

  #handOut(batch: Batch): number {
    let count = 0;
    while (count < batch.capacity) {
      const reply = this.#replies.shift();
      if (reply === undefined) break;
      if (reply.length > batch.slotSize) {
        this.dropped++;
        continue;
      }
      const at = batch.slotOffset(count);
      batch.bytes.set(reply, at);
      batch.offset[count] = at;
      batch.length[count] = reply.length;
      batch.offload[count] = COMPLETE;
      count++;
    }
    batch.count = count;
    this.#expectMore();
    return count;
  }

  /** Takes frames of other DHCP servers out of what was received; returns how many are left. */
  #refuse(batch: Batch): number {
    const { bytes, offset, length, count } = batch;
    let kept = 0;
    for (let index = 0; index < count; index++) {
      this.#received.read(bytes, offset[index], length[index]);
      if (kindOf(this.#received) === FROM_SERVER) {
        this.refused++;
      } else {
        if (kept !== index) batch.keep(index, kept);
        kept++;
      }
    }
    batch.count = kept;
    return kept;
  }

  #hasMore(): boolean {
    return this.#maybeMore || this.#replies.length > 0;
  }

  #expectMore(): void {
    this.#maybeMore = true;
    this.#wakeSoon();
  }

  #wakeSoon(): void {
    if (this.#readable && this.#soon === undefined) this.#soon = setImmediate(this.#onSoon);
  }

  /** The relay may have come by itself in the meantime. */
  readonly #onSoon = (): void => {
    this.#soon = undefined;
    if (this.#hasMore()) this.#wake(true, false);
  };

  #cancelWake(): void {
    clearImmediate(this.#soon);
    this.#soon = undefined;
  }
}

/**
 * Whether a frame is a client's to a server (to port 67, whatever it comes from), a server's to a client (67 → 68), or
 * neither. Nothing is trusted: a network's frames come here before the guard has seen them.
 */
function kindOf({ protocol, sourcePort, destinationPort }: FrameView): number {
  if (protocol !== PROTOCOL_UDP) return NOT_DHCP;
  if (destinationPort === DHCP_SERVER_PORT) return TO_SERVER;
  return destinationPort === DHCP_CLIENT_PORT && sourcePort === DHCP_SERVER_PORT ? FROM_SERVER : NOT_DHCP;
}
