/**
 * What controllers hear that have asked for events (`softnet.events`): changes of the binding and of the policy, and the
 * first drop of each reason and remote address since they asked or the policy changed. Each event is a notification, one line:
 *
 *     {"jsonrpc":"2.0","method":"softnet.event","params":{"event":"binding","time":…,…}}
 *
 * What a controller does not read in time, and first drops beyond MOST_FIRST_DROPS, are left out and counted; the count
 * is told as an event of its own, `skipped`, at most once a second.
 */
import type { Direction } from "../relay/direction.ts";
import type { Channel } from "./channel.ts";
import { FirstDrops } from "./first-drops.ts";
import { remoteOf } from "./remote.ts";

export type EventFields = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** Microseconds between two tellings of what was skipped. */
const INTERVAL = 1_000_000;

interface Subscriber {
  readonly channel: Channel;
  readonly drops: FirstDrops;
  skipped: number;
  told: number;
}

/** Tells what a dropped frame was. */
export type DescribeDrop = (
  direction: Direction,
  verdict: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  offload: number,
) => EventFields;

export class Events {
  readonly #subscribers: Subscriber[] = [];
  readonly #describe: DescribeDrop;

  constructor(describe: DescribeDrop) {
    this.#describe = describe;
  }

  /** Whether somebody listens. */
  get wanted(): boolean {
    return this.#subscribers.length > 0;
  }

  /** When `tick` has something to tell, microseconds; Infinity = nothing. */
  get deadline(): number {
    const skipped = this.#subscribers.filter((one) => one.skipped > 0);
    return Math.min(Number.POSITIVE_INFINITY, ...skipped.map((one) => one.told + INTERVAL));
  }

  subscribe(channel: Channel): void {
    if (this.#subscribers.some((one) => one.channel === channel)) return;
    this.#subscribers.push({ channel, drops: new FirstDrops(), skipped: 0, told: 0 });
    channel.subscribe();
  }

  unsubscribe(channel: Channel): void {
    const at = this.#subscribers.findIndex((one) => one.channel === channel);
    if (at >= 0) this.#subscribers.splice(at, 1);
  }

  tell(event: string, fields: EventFields): void {
    if (!this.wanted) return;
    const line = eventLine(event, fields);
    for (const one of this.#subscribers) send(one, line);
  }

  /** A policy that changed: what is dropped from now on is worth telling again. */
  policyChanged(fields: EventFields): void {
    for (const { drops } of this.#subscribers) drops.clear();
    this.tell("policy", fields);
  }

  /** A dropped frame. Allocates nothing unless it is the first of its kind for somebody. */
  drop(direction: Direction, verdict: number, bytes: Uint8Array, offset: number, length: number, offload = 0): void {
    const remote = remoteOf(direction, bytes, offset, length);
    let line: string | undefined;
    for (const one of this.#subscribers) {
      const first = one.drops.note(verdict, remote);
      if (first === 0) continue;
      if (first < 0) {
        one.skipped++;
        continue;
      }
      line ??= eventLine("drop", this.#describe(direction, verdict, bytes, offset, length, offload));
      send(one, line);
    }
  }

  /** On a tick; `time` in microseconds. */
  tick(time: number): void {
    for (const one of this.#subscribers) {
      if (one.skipped === 0 || time - one.told < INTERVAL) continue;
      one.told = time; // also where nobody reads it: then again a second later
      if (one.channel.notify(eventLine("skipped", { count: one.skipped }))) one.skipped = 0;
    }
  }
}

function send(one: Subscriber, line: string): void {
  if (!one.channel.notify(line)) one.skipped++;
}

function eventLine(event: string, fields: EventFields): string {
  return `${JSON.stringify({ jsonrpc: "2.0", method: "softnet.event", params: { event, time: new Date().toISOString(), ...fields } })}\n`;
}
