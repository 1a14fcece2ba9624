/**
 * A network's port with a DHCP server in it (inserting-port.ts): the VM's DHCP goes to the server and never further, and no
 * other server is heard. Everything else passes through untouched, for two or three compares a frame.
 *
 *   send      frames to UDP port 67 are taken out and answered; the runs of frames between them go to the wrapped port
 *   receive   replies; frames 67 → 68 of others are not let in
 */
import { verdictOf } from "../../guard/reasons.ts";
import type { Batch } from "../../relay/batch.ts";
import { INGRESS } from "../../relay/direction.ts";
import type { DropCounter, FramePort } from "../../relay/port.ts";
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT } from "../../wire/dhcp.ts";
import { FrameView } from "../../wire/frame-view.ts";
import { PROTOCOL_UDP } from "../../wire/ipv4.ts";
import { InsertingPort } from "../inserting-port.ts";

/** Replies that wait while the VM takes none; a further one is dropped, and its client asks again. */
const MOST_REPLIES = 8;

/** Under which reasons drops are counted. */
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

export class ServingPort extends InsertingPort {
  /** Replies that found the queue full, or no slot long enough. */
  dropped = 0;
  /** How many of them the relay's counters have. */
  #countedDropped = 0;
  readonly #server: ReplySource;
  readonly #replies: Uint8Array[] = [];
  /** Of frames that are sent, and of those that are received: their batches are two. */
  readonly #sent = new FrameView();
  readonly #received = new FrameView();

  /** Takes over `port`: closes it when it is closed itself. */
  constructor(port: FramePort, server: ReplySource) {
    super(port, FOREIGN_SERVER);
    this.#server = server;
  }

  override send(batch: Batch, first: number): number {
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

  override countDrops(count: DropCounter): void {
    super.countDrops(count);
    count(INGRESS, TOO_MANY_REPLIES, this.dropped - this.#countedDropped);
    this.#countedDropped = this.dropped;
  }

  /** Sends frames `from … to - 1`; returns how many were taken. The batch is as it was, afterwards. */
  #sendRun(batch: Batch, from: number, to: number): number {
    if (from === to) return 0;
    const { count } = batch;
    batch.count = to;
    try {
      return super.send(batch, from);
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
    this.wakeSoon();
  }

  protected override get hasOwn(): boolean {
    return this.#replies.length > 0;
  }

  protected override takeOwn(): Uint8Array | undefined {
    return this.#replies.shift();
  }

  protected override discardOwn(): void {
    this.dropped++;
  }

  protected override isForeign(bytes: Uint8Array, frame: number, length: number): boolean {
    this.#received.read(bytes, frame, length);
    return kindOf(this.#received) === FROM_SERVER;
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
