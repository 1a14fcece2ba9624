/**
 * The express lane of one VM, as softnet sees it: what it tells the programs in the kernel (bpf/lane.bpf.c), and what it
 * reads of them. It decides nothing: it repeats what the guard has said, which it observes.
 *
 * It is open for a second at a time, and only while frames come: so it closes by itself when softnet hangs or is stopped,
 * and an idle VM costs nothing. The first frame afterwards comes through the relay, and opens it again.
 */
import type { FlowSink, IPv4Observer } from "../guard/flow-observer.ts";
import { IN, OUT } from "../policy/rule-tree.ts";
import type { Counters } from "../relay/counters.ts";
import { EGRESS, INGRESS } from "../relay/direction.ts";
import { Burst } from "./burst.ts";
import { AdmittedFlows4 } from "./flows-4.ts";
import { IPv6Lane, type LaneDoor } from "./ipv6-lane.ts";
import { LaneCounts } from "./lane-counts.ts";
import type { LaneMemory } from "./lane-memory.ts";
import { nanoseconds } from "./own-places.ts";

/** Microseconds that the lane stays open for, once softnet has shown that it lives, and between two of these times. */
const OPEN_FOR = 1_000_000;
const RENEWAL = 400_000;

/** Words of struct vm (bpf/admitted.h). */
const OPEN_UNTIL = 0;
const EXPIRY = 2;
const ADDRESS = 6;
const GENERATION = 7;
const MAC_HIGH = 8;
const MAC_LOW = 9;
const MTU = 10;
const SECRET = 11;
/** Bytes. */
export const VM_SIZE = 56;

const NOTHING: FlowSink = { seen: () => {} };

export interface LaneOptions {
  readonly memory: LaneMemory;
  /** The VM's, 48 bits. */
  readonly mac: number;
  /** Bytes of the longest packet. */
  readonly mtu: number;
  /** Microseconds since boot. */
  readonly clock: () => number;
}

/** What `status` says of a lane, which is open for what the guard admits, or was turned off. */
export interface LaneState {
  readonly state: "on" | "off";
  readonly egress: { readonly frames: number; readonly bytes: number };
  readonly ingress: { readonly frames: number; readonly bytes: number };
}

export class ExpressLane implements IPv4Observer, LaneDoor {
  /** Where the programs pass IPv6, too. */
  readonly ipv6: IPv6Lane | undefined;
  readonly #memory: LaneMemory;
  readonly #clock: () => number;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #times: BigInt64Array<ArrayBuffer>;
  readonly #flows: AdmittedFlows4;
  readonly #counts: LaneCounts;
  /** Of flows that are admitted anew. */
  readonly #burst = new Burst();
  #sink = NOTHING;
  #generation = 1;
  #isOn = true;
  /** Bits 1 << OUT and 1 << IN: the ways that may pass here. */
  #ways = (1 << OUT) | (1 << IN);
  /** Whether anything has passed since it was opened last. */
  #isUsed = false;
  /** When the time comes to look whether the lane is in use; Infinity while it is closed. */
  #renewal = Number.POSITIVE_INFINITY;

  constructor({ memory, mac, mtu, clock }: LaneOptions) {
    this.#memory = memory;
    this.#clock = clock;
    const words = new Int32Array(memory.vm.buffer);
    this.#words = words;
    this.#times = new BigInt64Array(memory.vm.buffer, 0, VM_SIZE / 8);
    words[MAC_HIGH] = Math.floor(mac / 2 ** 32);
    words[MAC_LOW] = mac | 0;
    words[MTU] = mtu;
    words[GENERATION] = this.#generation;
    const secret = words.subarray(SECRET, SECRET + 2);
    crypto.getRandomValues(secret);
    this.#flows = new AdmittedFlows4(memory.flows.buffer, secret, (flow, second, acknowledgement) =>
      this.#sink.seen(flow, second, acknowledgement),
    );
    if (memory.ipv6 !== undefined) this.ipv6 = new IPv6Lane(memory.ipv6, secret, this);
    this.#counts = new LaneCounts(memory.counts.buffer, memory.processors);
  }

  reportTo(sink: FlowSink): void {
    this.#sink = sink;
  }

  admit(
    flow: number,
    kind: number,
    remote: number,
    ports: number,
    ways: number,
    patience: number,
    second: number,
  ): void {
    const passing = this.passing(ways);
    if (passing === 0) return;
    this.admitted(this.#flows.admit(flow, kind, remote, ports, passing, patience, second, this.#generation));
  }

  get generation(): number {
    return this.#generation;
  }

  passing(ways: number): number {
    return this.#isOn ? ways & this.#ways : 0;
  }

  admitted(isNew: boolean): void {
    if (!isNew && this.#renewal !== Number.POSITIVE_INFINITY) return;
    const time = this.#clock();
    if (isNew) this.#burst.note(time);
    if (this.#renewal === Number.POSITIVE_INFINITY) this.#open(time);
  }

  /** Whether flows are admitted so fast that what opens or ends the next one is near; `time`: microseconds since boot. */
  isBurst(time: number): boolean {
    return this.#isOn && this.#burst.isAt(time);
  }

  report(flow: number): void {
    this.#flows.report(flow);
  }

  withdraw(flow: number): void {
    this.#flows.withdraw(flow);
  }

  end(flow: number): void {
    this.#flows.end(flow);
  }

  endAll(): void {
    this.#flows.endAll();
  }

  /** One store: no program passes anything on old knowledge from then on. */
  invalidate(): void {
    this.#generation = (this.#generation + 1) | 0;
    Atomics.store(this.#words, GENERATION, this.#generation);
  }

  bind(address: number, expiry: number): void {
    // The shorter life first: at no moment does an address go with another one's end.
    Atomics.store(this.#words, ADDRESS, 0);
    Atomics.store(this.#times, EXPIRY / 2, nanoseconds(expiry));
    Atomics.store(this.#words, ADDRESS, address | 0);
  }

  /** When `tick` has something to do if nothing happens until then; microseconds, Infinity = nothing. */
  get deadline(): number {
    return this.#renewal;
  }

  /** Counts what has passed, and keeps the lane open while anything does. `time`: microseconds since boot. */
  tick(time: number, counters: Counters): void {
    if (this.count(counters) > 0) this.#isUsed = true;
    if (time < this.#renewal) return;
    if (this.#isUsed) this.#open(time);
    else this.#renewal = Number.POSITIVE_INFINITY;
    this.#isUsed = false;
  }

  /** Adds what has passed since the last time to the relay's counters; returns how many frames. */
  count(counters: Counters): number {
    const { frames, bytes, large } = this.#counts;
    const passed = this.#counts.update();
    if (passed === 0) return 0;
    for (const direction of [EGRESS, INGRESS] as const) {
      counters.frames[direction] += frames.added[direction];
      counters.bytes[direction] += bytes.added[direction];
      counters.large[direction] += large.added[direction];
    }
    return passed;
  }

  /** Only these ways (bits 1 << OUT and 1 << IN) pass here from now on. */
  confine(ways: number): void {
    if (ways === this.#ways) return;
    this.#ways = ways;
    this.invalidate();
  }

  /** Whether flows that the guard admits pass here from now on. */
  turn(on: boolean): void {
    if (on === this.#isOn) return;
    this.#isOn = on;
    if (!on) this.#shut();
  }

  get state(): LaneState {
    const { frames, bytes } = this.#counts;
    const of = (direction: typeof EGRESS | typeof INGRESS) => ({
      frames: frames.total[direction],
      bytes: bytes.total[direction],
    });
    return { state: this.#isOn ? "on" : "off", egress: of(EGRESS), ingress: of(INGRESS) };
  }

  /** Nothing passes from then on. Harmless when called twice. */
  close(): void {
    this.#isOn = false;
    if (this.#times.length === 0) return;
    this.#shut();
    this.#memory.free();
  }

  #open(time: number): void {
    if (!this.#isOn) return;
    Atomics.store(this.#times, OPEN_UNTIL / 2, BigInt(Math.floor(time) + OPEN_FOR) * 1000n);
    this.#renewal = time + RENEWAL;
  }

  #shut(): void {
    Atomics.store(this.#times, OPEN_UNTIL / 2, 0n);
    this.#renewal = Number.POSITIVE_INFINITY;
    this.invalidate();
  }
}
