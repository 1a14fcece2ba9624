/** A bound VM with rules by name, its DNS server, and the messages between them. */
import assert from "node:assert/strict";
import { DROP_REASONS, PASS } from "../../../src/guard/reasons.ts";
import type { GuardOptions, NameEvent } from "../../../src/guard/types.ts";
import { FrameView } from "../../../src/wire/frame-view.ts";
import { ACK_FLAG, SYN } from "../segment.ts";
import { ADDRESS, Bench, Client, GATEWAY_MAC, DNS_SERVER as RESOLVER, Server, udp, VM } from "../support.ts";
import { fromVm, START, syn, toVm } from "./segments.ts";

export const ONLY = { block: ["out 0.0.0.0/0"], allow: ["out @dns:53"] };

export const A = 1;
export const AAAA = 28;
export const CNAME = 5;
export const HTTPS = 65;

export function labels(name: string): Uint8Array {
  const parts = name === "" ? [] : name.split(".");
  return Uint8Array.from([...parts.flatMap((part) => [part.length, ...new TextEncoder().encode(part)]), 0]);
}

const two = (value: number): number[] => [value >>> 8, value & 255];

export interface Words {
  readonly id?: number;
  readonly flags?: number;
  readonly type?: number;
  readonly own?: number;
  readonly opt?: boolean;
}

const OPT = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];

export function question(name: string, { id = 7, flags = 0x0100, type = A, opt = false }: Words = {}): Uint8Array {
  const header = [...two(id), ...two(flags), 0, 1, 0, 0, 0, 0, 0, opt ? 1 : 0];
  return Uint8Array.from([...header, ...labels(name), ...two(type), 0, 1, ...(opt ? OPT : [])]);
}

export type Record = readonly [owner: string, type: number, ttl: number, data: string];

export function answer(
  name: string,
  records: readonly Record[],
  { id = 7, flags = 0x8180, type = A }: Words = {},
): Uint8Array {
  const header = [...two(id), ...two(flags), 0, 1, ...two(records.length), 0, 0, 0, 0];
  const bodies = records.map(([owner, kind, ttl, data]) => {
    const bytes = kind === A ? data.split(".").map(Number) : [...labels(data)];
    return [
      ...labels(owner),
      ...two(kind),
      0,
      1,
      ...two(ttl >>> 16),
      ...two(ttl & 0xffff),
      ...two(bytes.length),
      ...bytes,
    ];
  });
  return Uint8Array.from([...header, ...labels(name), ...two(type), 0, 1, ...bodies.flat()]);
}

export class World extends Bench {
  readonly events: NameEvent[];

  constructor(allow: readonly string[], options: Partial<GuardOptions> = ONLY, dns = [RESOLVER]) {
    const events: NameEvent[] = [];
    super({
      mtu: 4000,
      ...options,
      allow: [...(options.allow ?? []), ...allow],
      onName: (event) => void events.push(event),
    });
    this.events = events;
    this.bind(ADDRESS, new Client(), new Server({ lease: 100_000, dns }));
  }

  ask(name: string, words: Words = {}): string {
    return this.out(udp(words.own ?? 5353 + 100, 53, { destination: RESOLVER }, question(name, words)));
  }

  answered(name: string, records: readonly Record[], words: Words = {}): string {
    const own = words.own ?? 5353 + 100;
    return this.in(
      udp(53, own, { source: RESOLVER, destination: ADDRESS, from: GATEWAY_MAC, to: VM }, answer(name, records, words)),
    );
  }

  /** The VM looks a name up. */
  resolve(name: string, address: string, ttl = 300): void {
    assert.equal(this.ask(name), "pass");
    assert.equal(this.answered(name, [[name, A, ttl, address]]), "pass");
  }

  /** A SYN of the VM's, which the other side takes where it passes. */
  connect(destination: string, port = 443, own = 40_000): string {
    const verdict = this.out(syn({ destination, port, own }));
    if (verdict === "pass") this.accepted(destination, port, own);
    return verdict;
  }

  /** The other side takes the connection. */
  accepted(source: string, port = 443, own = 40_000): void {
    this.passesIn(
      toVm({ source, port, own, flags: SYN | ACK_FLAG, sequence: 8999, acknowledgement: (START + 1) >>> 0 }),
    );
  }

  say(destination: string, data: Uint8Array, at = 0, port = 443, own = 40_000): string {
    return this.out(fromVm(at, data, { destination, port, own, acknowledgement: 9000 }));
  }

  /** What softnet answers to a frame of the VM's that drops, and the reason. */
  refused(frame: Uint8Array): { reason: string; answer: FrameView | undefined } {
    this.guard.advance(this.now);
    const view = FrameView.of(frame);
    const verdict = this.guard.judgeEgress(view);
    const out = new Uint8Array(2048);
    const length = verdict === PASS ? 0 : this.guard.answer(view, verdict, out, 0);
    const reason = verdict === PASS ? "pass" : DROP_REASONS[verdict - 1]!.name;
    return { reason, answer: length === 0 ? undefined : FrameView.of(out, 0, length) };
  }

  /** What softnet sends to the network itself. */
  toNetwork(): FrameView | undefined {
    const out = new Uint8Array(2048);
    const length = this.guard.takeQuestion(out, 0);
    return length === 0 ? undefined : FrameView.of(out, 0, length);
  }
}

export const dataOf = (view: FrameView): Uint8Array =>
  view.bytes.slice(view.transport + 8, view.transport + view.transportLength);

export { RESOLVER };
