/** The first guard, the one that softnet runs, behind the face that the comparison knows. */
import { createGuard, type Guard } from "../../src/guard/guard.ts";
import { completeDhcp } from "../../src/guard/offload.ts";
import { DROP_REASONS, verdictOf } from "../../src/guard/reasons.ts";
import type { GuardOptions, Verdict } from "../../src/guard/types.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import {
  COMPLETE,
  completeElsewhere,
  ELSEWHERE,
  MALFORMED,
  putVirtioNetHeader,
  readVirtioNetHeader,
  segmentSizeOf,
  VIRTIO_NET_HEADER,
} from "../../src/wire/virtio-net.ts";
import type { Explained, Told } from "./guard.ts";
import { describe } from "./ipv6/known.ts";
import type { Judge } from "./judge.ts";
import { readHeader, tellLeft } from "./offload.ts";
import type { Way } from "./rules.ts";

export class FirstGuard implements Judge {
  readonly #guard: Guard;
  readonly #out = new Uint8Array(2048);
  #view = new FrameView();
  /** Where the last frame with a header stands. */
  #seen = { bytes: new Uint8Array(0), at: 0, length: 0 };

  constructor(options: GuardOptions) {
    this.#guard = createGuard(options);
  }

  egress(frame: Uint8Array, time: number, header?: Uint8Array): Verdict {
    this.#look(frame, header);
    if (header === undefined) return this.#guard.egress(frame, time);
    this.#guard.advance(time);
    return named(this.#guard.judgeEgress(this.#view));
  }

  ingress(frame: Uint8Array, time: number, header?: Uint8Array): Verdict {
    this.#look(frame, header);
    if (header === undefined) return this.#guard.ingress(frame, time);
    this.#guard.advance(time);
    return named(this.#guard.judgeIngress(this.#view));
  }

  /** What the last frame was judged as, and with which header and bytes a port would send it. */
  get told(): Told {
    const { bytes, at, length } = this.#seen;
    const { offload } = this.#view;
    const frame = bytes.slice(at, at + length);
    const leaving = () => {
      const whole = bytes.slice();
      putVirtioNetHeader(whole, at, length, offload);
      const sent = whole.slice(at, at + length);
      const header = whole.slice(at - VIRTIO_NET_HEADER, at);
      return { kind: tellLeft(readHeader(header, sent), sent), frame: sent };
    };
    return { judged: judgedAs(offload), frame, leaving };
  }

  /** Reads a frame as a port and the relay do: in a batch's buffer, with its header in front of it. */
  #look(frame: Uint8Array, header: Uint8Array | undefined): void {
    if (header === undefined) {
      this.#view = FrameView.of(new Uint8Array(frame.buffer), frame.byteOffset, frame.length);
      return;
    }
    const at = 64 + VIRTIO_NET_HEADER;
    const bytes = new Uint8Array(at + frame.length + 40).fill(0x45);
    bytes.set(header, at - VIRTIO_NET_HEADER);
    bytes.set(frame, at);
    const said = readVirtioNetHeader(bytes, at - VIRTIO_NET_HEADER);
    const offload = said === ELSEWHERE ? completeElsewhere(bytes, at, frame.length) : said;
    this.#seen = { bytes, at, length: frame.length };
    this.#view = FrameView.of(bytes, at, frame.length, offload);
    completeDhcp(this.#view);
  }

  setRules(allow: readonly string[], block: readonly string[]): void {
    this.#guard.setRules(parseRules(allow, block));
  }

  answer(verdict: Verdict): Uint8Array | undefined {
    const view = this.#view;
    const dropped = verdictOf(verdict.reason!);
    return this.#taken((at) => this.#guard.answer(view, dropped, this.#out, at));
  }

  takeResets(): Uint8Array[] {
    const resets: Uint8Array[] = [];
    for (;;) {
      const reset = this.#taken((at) => this.#guard.takeReset(this.#out, at));
      if (reset === undefined) return resets;
      resets.push(reset);
    }
  }

  /** To the network first, then to the VM. */
  takeQuestion(): Uint8Array | undefined {
    return this.#taken((at) => this.#guard.takeQuestion(this.#out, at) || this.#guard.takeProbe(this.#out, at));
  }

  get flows(): number {
    return this.#guard.flows;
  }

  /** The VM's valid IPv6 addresses as text. */
  get addresses6(): string {
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
    const told = this.#guard.binding.ipv6.map(({ lease, ...one }) =>
      describe({
        ...one,
        lease: lease && { server: hex(lease.server), client: hex(lease.client), iaid: lease.iaid },
      }),
    );
    return told.sort().join(" ");
  }

  explain(way: Way, protocol: number, remote: number, port: number | undefined): Explained {
    const asked = { direction: way, protocol, remote, ...(port !== undefined && { port }) };
    const { rule, ...rest } = this.#guard.explain(asked);
    return { ...rest, ...(rule !== undefined && { rule: `${rule.action} ${rule.text}` }) };
  }

  /** What was written somewhere in the middle of the buffer, which is full of rubbish before. */
  #taken(write: (at: number) => number): Uint8Array | undefined {
    this.#out.fill(0xa5);
    const at = 77;
    const length = write(at);
    return length === 0 ? undefined : this.#out.slice(at, at + length);
  }
}

const named = (verdict: number): Verdict =>
  verdict === 0 ? { verdict: "pass" } : { verdict: "drop", reason: DROP_REASONS[verdict - 1]!.name };

const judgedAs = (offload: number): string => {
  if (offload === COMPLETE || offload === MALFORMED) return offload === COMPLETE ? "complete" : "malformed";
  return segmentSizeOf(offload) === 0 ? "partial" : "segmented";
};

export const createFirst = (options: GuardOptions): Judge => new FirstGuard(options);
