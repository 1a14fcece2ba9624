/** Sends given frames repeatedly at a steady rate, until it is stopped or its time is over. */
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { openPacketSocket, type RawSocket } from "../../native/linux/packet-socket.ts";

export interface SendPlan {
  readonly link: string;
  readonly frames: readonly Uint8Array[];
  readonly perSecond: number;
  /** After this it ends by itself. */
  readonly seconds: number;
}

/** What was really sent. */
export interface Sent {
  readonly frames: number;
  readonly seconds: number;
}

const TICK = 5; // milliseconds
/** Seconds of delay on a busy machine that are caught up at most. */
const CATCH_UP = 0.25;

export class FrameSender {
  readonly #plan: SendPlan;
  readonly #socket: RawSocket;
  readonly #timer: NodeJS.Timeout;
  readonly #started = performance.now();
  #next = 0;
  #sent = 0;
  /** How many frames should have left by now. */
  #due = 1;
  #last = this.#started;
  #ended: number | undefined;

  constructor(libc: LinuxLibc, plan: SendPlan) {
    this.#plan = plan;
    this.#socket = openPacketSocket(libc, plan.link);
    this.#timer = setInterval(() => this.#tick(), TICK);
    this.#tick();
  }

  /** Frames so far. */
  get sent(): number {
    return this.#sent;
  }

  stop(): Sent {
    this.#end();
    return { frames: this.#sent, seconds: ((this.#ended ?? 0) - this.#started) / 1000 };
  }

  #tick(): void {
    const { frames, perSecond, seconds } = this.#plan;
    const now = performance.now();
    this.#due += (perSecond * (now - this.#last)) / 1000;
    this.#due = Math.min(this.#due, Math.max(1, perSecond * CATCH_UP));
    this.#last = now;
    for (; this.#due >= 1; this.#due--) {
      if (!this.#socket.send(frames[this.#next % frames.length]!)) break;
      this.#next++;
      this.#sent++;
    }
    if (now - this.#started > seconds * 1000) this.#end();
  }

  #end(): void {
    if (this.#ended !== undefined) return;
    this.#ended = performance.now();
    clearInterval(this.#timer);
    this.#socket.close();
  }
}
