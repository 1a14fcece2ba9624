/** A session's relay with its memory, and what observes it: the drop log, the capture, the controllers. */
import { Diagnostics } from "../guard/diagnostics.ts";
import type { Guard } from "../guard/guard.ts";
import { LONGEST_ANSWER_6 } from "../guard/ipv6/answers.ts";
import { LONGEST_NAME_ANSWER } from "../guard/names/dns-reply.ts";
import { DROP_REASONS, verdictOf } from "../guard/reasons.ts";
import type { ExpressLane } from "../lane/express-lane.ts";
import type { Network } from "../networks/network.ts";
import { allocateLargeSlab, allocateSlab, type Slab } from "../ports/slab.ts";
import type { MakeAlarm } from "../relay/alarm.ts";
import { LONGEST_ANSWER } from "../relay/answering.ts";
import type { Batch } from "../relay/batch.ts";
import { DIRECTION_NAMES, EGRESS, INGRESS } from "../relay/direction.ts";
import { inlineMore } from "../relay/inlining.ts";
import { LONGEST_OWN_FRAME } from "../relay/own-frames.ts";
import type { FramePort } from "../relay/port.ts";
import { Relay, type RelayEnd, type RelayOptions } from "../relay/relay.ts";
import { DropLog } from "../telemetry/drop-log.ts";
import type { Log } from "../telemetry/log.ts";
import { parseMac } from "../wire/address.ts";
import { describeFrame } from "../wire/describe.ts";
import { ETHERNET_HEADER } from "../wire/ethernet.ts";
import type { KeptPairs } from "./kept-pairs.ts";
import type { LearnedRules } from "./learned-rules.ts";
import type { LeftLeases } from "./left-leases.ts";
import { MovedVm } from "./moved-vm.ts";
import { mayHaveNames, type SessionArguments } from "./options.ts";
import type { Recording } from "./recording.ts";
import type { SessionControl } from "./session-control.ts";
import type { SessionLimits } from "./session-limits.ts";
import { logSummary } from "./session-log.ts";

const ETHERNET_SOURCE = verdictOf("ethernet.source");
/** Answers to what is denied that may wait for the VM at once. */
const MOST_ANSWERS = 16;
/** Frames of softnet's own that may wait for the network at once. */
const MOST_OWN_FRAMES = 4;

export interface SessionRelayOptions {
  readonly vm: FramePort;
  readonly network: Network;
  readonly guard: Guard;
  readonly leftLeases: LeftLeases;
  readonly lane: ExpressLane | undefined;
  readonly recording: Recording | undefined;
  readonly control: SessionControl | undefined;
  readonly learned: LearnedRules | undefined;
  readonly keptPairs: KeptPairs | undefined;
  readonly limits: SessionLimits | undefined;
  readonly given: SessionArguments;
  readonly clock: () => number;
  readonly makeAlarm?: MakeAlarm | undefined;
  readonly log: Log;
}

export class SessionRelay {
  /** Resolves when the relay ends by itself. */
  readonly ended: Promise<RelayEnd>;
  readonly #options: SessionRelayOptions;
  readonly #relay: Relay;
  readonly #moved: MovedVm;
  readonly #diagnostics: Diagnostics;
  readonly #slabs: Slab[] = [];
  #started: number | undefined;

  /** Allocates the batches; `free` gives them back. */
  constructor(options: SessionRelayOptions) {
    this.#options = options;
    const mac = parseMac(options.given.vmMacAddress ?? "") ?? 0;
    this.#moved = new MovedVm(mac);
    this.#diagnostics = new Diagnostics(mac);
    const { promise, resolve } = Promise.withResolvers<RelayEnd>();
    this.ended = promise;
    // A watch's callback resolves nothing by itself (native/poll.ts).
    const onEnd = (end: RelayEnd): void => {
      options.lane?.turn(false);
      setImmediate(resolve, end);
    };
    this.#relay = new Relay({ ...this.#relayOptions(), onEnd });
    if (options.control !== undefined) {
      options.control.counters = this.#relay.counters;
      options.control.tickSoon = () => this.#relay.tickSoon();
    }
  }

  /** The batch for frames from the VM: free to be overwritten once the relay is stopped. */
  get egressBatch(): Batch {
    return this.#slabs[EGRESS]!.batch;
  }

  /** The batch for frames to the VM. */
  get ingressBatch(): Batch {
    return this.#slabs[INGRESS]!.batch;
  }

  start(): void {
    this.#started = this.#options.clock();
    inlineMore();
    this.#relay.start();
  }

  /** Ends the relay, because of a fault that is neither port's. Returns false where it had ended before. */
  fail(error: unknown): boolean {
    return this.#relay.fail(error);
  }

  /** Stops the relay and logs what it counted. Harmless when called twice. */
  stop(): void {
    const { lane } = this.#options;
    lane?.turn(false);
    this.#relay.stop();
    lane?.count(this.#relay.counters);
    if (this.#started === undefined) return;
    const { log, clock } = this.#options;
    logSummary(log, this.#relay.counters.snapshot(), (clock() - this.#started) / 1e6);
    this.#started = undefined;
  }

  /** Gives the batches' memory back. No port may use it any more. */
  free(): void {
    for (const slab of this.#slabs.splice(0)) slab.free();
  }

  /** Whether the VM has moved to another host, as far as `time`. */
  hasVmMoved(time: number): boolean {
    return this.#moved.hasMoved(time);
  }

  #relayOptions(): Omit<RelayOptions, "onEnd"> {
    const {
      network,
      guard,
      leftLeases,
      lane,
      recording,
      learned,
      keptPairs,
      limits,
      control,
      given,
      clock,
      makeAlarm,
      log,
    } = this.#options;
    const vm = limits?.around(INGRESS, this.#options.vm) ?? this.#options.vm;
    const networkPort = limits?.around(EGRESS, network.port) ?? network.port;
    const diagnostics = this.#diagnostics;
    // A network may bring frames that are longer than the guard lets pass.
    const longest = Math.max(Math.max(given.mtu ?? 0, network.mtu) + ETHERNET_HEADER, network.longestFrame ?? 0);
    const offloads = given.offloads !== false && vm.takesOffloads === true && networkPort.takesOffloads === true;
    const ipv6 = given.ipv6 === true;
    // Each direction by itself: what one port brings, the other takes in any case.
    const batches = [
      offloads && vm.enableOffloads?.(ipv6) ? this.#allocateLarge() : this.#allocate(longest),
      offloads && networkPort.enableOffloads?.(ipv6) ? this.#allocateLarge() : this.#allocate(longest),
    ] as const;
    const byName = mayHaveNames(given, guard.rules);
    const longestAnswer = guard.hasIPv6 ? LONGEST_ANSWER_6 : byName ? LONGEST_NAME_ANSWER : LONGEST_ANSWER;
    const dropLog = new DropLog({ log, reasons: DROP_REASONS, dropsOf: (verdict) => this.#dropsOf(verdict) });
    return {
      vm,
      network: networkPort,
      guard,
      clock,
      makeAlarm,
      batches,
      ...((given.reject || guard.hasIPv6 || byName) && { answers: this.#allocate(longestAnswer, MOST_ANSWERS) }),
      ownFrames: {
        batch: this.#allocate(LONGEST_OWN_FRAME, MOST_OWN_FRAMES),
        take: (out, at) => leftLeases.take(out, at) || guard.takeQuestion(out, at),
      },
      observesFrames: () => recording !== undefined || diagnostics.observed,
      onFrame: (direction, verdict, time, view) => {
        recording?.add(direction, verdict, time, view);
        if (diagnostics.observed) diagnostics.verdict(DIRECTION_NAMES[direction], verdict, time, view);
      },
      onDrop: (direction, verdict, time, view) => {
        if (dropLog.isFirst(verdict)) {
          dropLog.first(verdict, DIRECTION_NAMES[direction], describeFrame(view), time);
        }
        if (direction === INGRESS && verdict === ETHERNET_SOURCE) this.#moved.note(time, view);
        control?.dropped(direction, verdict, view);
      },
      ...(control && { onSlice: control.serve }),
      ...(lane && { readsOn: (time: number) => lane.isBurst(time) }),
      onTick: (time) => {
        lane?.tick(time, this.#relay.counters);
        recording?.flush();
        learned?.tick(time);
        keptPairs?.tick(time);
        control?.tick(time);
        dropLog.summarize(time);
      },
      deadline: () =>
        Math.min(
          dropLog.deadline,
          control?.deadline ?? Number.POSITIVE_INFINITY,
          lane?.deadline ?? Number.POSITIVE_INFINITY,
          keptPairs?.deadline ?? Number.POSITIVE_INFINITY,
        ),
    };
  }

  #dropsOf(verdict: number): number {
    const { drops } = this.#relay.counters;
    return drops[EGRESS][verdict]! + drops[INGRESS][verdict]!;
  }

  #allocate(longestFrame: number, capacity?: number): Batch {
    return this.#keep(allocateSlab(longestFrame, capacity));
  }

  #allocateLarge(): Batch {
    return this.#keep(allocateLargeSlab());
  }

  #keep(slab: Slab): Batch {
    this.#slabs.push(slab);
    return slab.batch;
  }
}
