/**
 * Events for controllers that have called `softnet.events`: changes of the binding and of the policy, and the first
 * drop of each reason and remote address since the subscription or the last change of policy. Each is a notification,
 * one line:
 *
 *     {"jsonrpc":"2.0","method":"softnet.event","params":{"event":"binding","time":…,…}}
 *
 * Events that a controller does not read in time, and first drops beyond MOST_FIRST_DROPS, are skipped and counted. The
 * count is sent as the event `skipped`, at most once a second.
 */
import type { Direction } from "../relay/direction.ts";
import type { FrameView } from "../wire/frame-view.ts";
import type { Channel } from "./channel.ts";
import { FirstDrops } from "./first-drops.ts";
import { remoteOf } from "./remote.ts";

export type EventFields = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** Microseconds between two `skipped` events. */
const INTERVAL = 1_000_000;

interface Subscriber {
  readonly channel: Channel;
  readonly drops: FirstDrops;
  skipped: number;
  /** Time of the last `skipped` event, in microseconds. */
  reported: number;
}

/** Returns an event's fields for a dropped frame. */
export type DescribeDrop = (direction: Direction, verdict: number, view: FrameView) => EventFields;

export class Events {
  readonly #subscribers: Subscriber[] = [];
  readonly #describe: DescribeDrop;

  constructor(describe: DescribeDrop) {
    this.#describe = describe;
  }

  /** Whether there is a subscriber. */
  get wanted(): boolean {
    return this.#subscribers.length > 0;
  }

  /** When `tick` must be called at the latest, in microseconds; Infinity = not needed. */
  get deadline(): number {
    const skipped = this.#subscribers.filter((one) => one.skipped > 0);
    return Math.min(Number.POSITIVE_INFINITY, ...skipped.map((one) => one.reported + INTERVAL));
  }

  subscribe(channel: Channel): void {
    if (this.#subscribers.some((one) => one.channel === channel)) return;
    this.#subscribers.push({ channel, drops: new FirstDrops(), skipped: 0, reported: 0 });
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

  /** Sends the change; the first drops are counted anew. */
  policyChanged(fields: EventFields): void {
    for (const { drops } of this.#subscribers) drops.clear();
    this.tell("policy", fields);
  }

  /** Sends a dropped frame to subscribers for which it is the first of its kind; allocates nothing if there is none. */
  drop(direction: Direction, verdict: number, view: FrameView): void {
    const remote = remoteOf(direction, view);
    let line: string | undefined;
    for (const one of this.#subscribers) {
      const first = one.drops.note(verdict, remote);
      if (first === 0) continue;
      if (first < 0) {
        one.skipped++;
        continue;
      }
      line ??= eventLine("drop", this.#describe(direction, verdict, view));
      send(one, line);
    }
  }

  /** On a tick; `time` in microseconds. */
  tick(time: number): void {
    for (const one of this.#subscribers) {
      if (one.skipped === 0 || time - one.reported < INTERVAL) continue;
      one.reported = time; // also when it cannot be sent: the next try is a second later
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
