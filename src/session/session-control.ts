/**
 * A running softnet's controllers: `--control-fd`, `--control-socket` and the policy file that SIGHUP reads again. This
 * file ties the control room to the guard, the network, the relay's counters and the log. It is made after the drop, so
 * whatever it opens is opened with the caller's rights.
 */

import { Controllers } from "../control/controllers.ts";
import { type EventFields, Events } from "../control/events.ts";
import { LivePolicy } from "../control/live-policy.ts";
import { remoteOf } from "../control/remote.ts";
import type { Guard } from "../guard/guard.ts";
import { DROP_REASONS } from "../guard/reasons.ts";
import type { BindingChange } from "../guard/types.ts";
import type { Network } from "../networks/network.ts";
import { policyAdvice } from "../policy/advice.ts";
import { rulesInForce } from "../policy/families.ts";
import { formatRule, type Rule } from "../policy/rule.ts";
import type { ByteStream } from "../ports/byte-stream.ts";
import type { Counters } from "../relay/counters.ts";
import { DIRECTION_NAMES, type Direction } from "../relay/direction.ts";
import type { Log } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { describeFrame } from "../wire/describe.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { describeMetrics } from "./metrics.ts";
import type { SessionArguments } from "./options.ts";
import { rulesOf } from "./policy-rules.ts";
import { describeRules } from "./rule-hits.ts";
import type { SessionLane } from "./session-lane.ts";
import type { SessionLimits } from "./session-limits.ts";
import { addressText, describeAddress, describeState, type PolicySource } from "./status.ts";
import type { ControlListener, SessionSystem } from "./system.ts";

/** Microseconds between two lines in the log about changes. */
const LOG_INTERVAL = 1_000_000;

export interface SessionControlOptions {
  readonly system: SessionSystem;
  readonly given: SessionArguments;
  /** What options and file said at start, and what is in force. */
  readonly rules: readonly Rule[];
  /** `--control-fd`. */
  readonly inherited: ByteStream | undefined;
  readonly guard: Guard;
  readonly lane: SessionLane;
  readonly limits: SessionLimits;
  readonly network: Network;
  readonly log: Log;
  /** The rules have changed. */
  readonly onPolicy: () => void;
}

export class SessionControl {
  readonly #options: SessionControlOptions;
  readonly #policy: LivePolicy;
  readonly #events: Events;
  readonly #controllers: Controllers;
  readonly #started: number;
  #listener: ControlListener | undefined;
  /** Called when a tick should follow soon; the relay's, once there is one. */
  tickSoon: () => void = () => {};
  /** When `tick` was called last. */
  #ticked = 0;
  /** What the relay counts, once there is one. */
  counters: Counters | undefined;
  /** Who changes the policy at the moment. */
  #by: "control" | "file" = "control";
  /** Policies put into force since the start, by who did it. */
  readonly #changedBy = { control: 0, file: 0 };
  /** Where the one in force is from. */
  #source: PolicySource;
  /** Since when, in milliseconds since 1970; for people. */
  #since = Date.now();
  #applied: readonly Rule[];
  /** Changes that are not logged yet, and flows that they ended. */
  #changes = 0;
  #ended = 0;
  #logged = Number.NEGATIVE_INFINITY;
  #advice: readonly (string | undefined)[];

  constructor(options: SessionControlOptions) {
    const { system, guard, log } = options;
    this.#options = options;
    this.#started = system.clock();
    this.#applied = options.rules;
    this.#source = options.given.policy === undefined ? "options" : "file";
    this.#advice = policyAdvice(guard.rules, guard.gateway, options.given.ipv6 ?? false);
    this.#policy = new LivePolicy(options.rules, (rules) => this.#apply(rules), options.given.ipv6);
    this.#events = new Events(describeDrop);
    this.#controllers = new Controllers({
      target: {
        policy: this.#policy,
        events: this.#events,
        isolated: options.network.isolated,
        status: () => this.#status(),
        names: () => [...guard.names],
        explainName: (question) => {
          guard.advance(system.clock());
          return guard.explainName(question);
        },
        rules: () => describeRules(guard, this.#policy.lists, system.clock(), Date.now()),
        metrics: () => this.#metrics(),
        turnLane: (on) => this.#turnLane(on),
        limits: () => options.limits.describe(),
        setLimits: (text) => this.#setLimits(text),
        explain: (question) => {
          guard.advance(system.clock()); // nothing may have moved it for a while
          // What the guard says of its own; the host may drop it all the same, and says so.
          return { ...guard.explain(question), ...hostState(options.network) };
        },
      },
      onActivity: () => this.tickSoon(),
      onBroken: (why) => log.info("a controller has gone", { why }),
      onFault: (error) => log.error("a fault while a controller was served", { error: String(error) }),
    });
  }

  /** Serves from the event loop's next turn on. Throws UserError where the socket cannot be made. */
  open(): void {
    const { system, given, inherited } = this.#options;
    if (inherited !== undefined) this.#controllers.inherit(inherited);
    const path = given.controlSocket;
    if (path !== undefined) this.#listener = system.listenForControl(path, (stream) => this.#controllers.admit(stream));
  }

  /** Reads the file again and puts back what options and file say. A mistake in it changes nothing. */
  reload(): void {
    this.tickSoon();
    this.#logChanges(this.#options.system.clock()); // in their order
    try {
      this.#by = "file";
      this.#policy.replace(rulesOf(this.#options.given));
      this.#logChanges(this.#options.system.clock());
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#options.log.error(`${error.message}; the policy stays as it was`);
    } finally {
      this.#by = "control";
    }
  }

  /** Between two batches. */
  readonly serve = (): void => this.#controllers.serveBetweenBatches();

  /** A name was denied. */
  nameDenied(fields: EventFields): void {
    this.#events.tell("name", fields);
  }

  bindingChanged(change: BindingChange): void {
    if (!this.#events.wanted) return;
    const { guard, system } = this.#options;
    const why = change.kind === "lost" ? { why: change.why } : {};
    this.#events.tell("binding", {
      change: change.kind,
      ...why,
      ...describeAddress(change.bound, guard, system.clock()),
    });
  }

  /** A dropped frame; allocates nothing unless a controller subscribed and has not been sent such a one. */
  dropped(direction: Direction, verdict: number, view: FrameView): void {
    if (this.#events.wanted) this.#events.drop(direction, verdict, view);
  }

  /** When `tick` has something to do if nothing happens until then, microseconds; Infinity = nothing. */
  get deadline(): number {
    const unlogged = this.#changes > 0 ? this.#logged + LOG_INTERVAL : Number.POSITIVE_INFINITY;
    const again = this.#listener?.resting ? this.#ticked + LOG_INTERVAL : Number.POSITIVE_INFINITY;
    return Math.min(this.#controllers.deadline, unlogged, again);
  }

  tick(time: number): void {
    this.#ticked = time;
    this.#controllers.check(time);
    this.#listener?.check();
    if (time - this.#logged >= LOG_INTERVAL) this.#logChanges(time);
  }

  /** Ends serving and removes the socket. Harmless when called twice. */
  close(): void {
    this.#logChanges(this.#options.system.clock());
    this.#listener?.close();
    this.#controllers.close();
  }

  #apply(rules: readonly Rule[]): void {
    const { given, guard, network, log, system } = this.#options;
    guard.advance(system.clock()); // flows that are over are none that it ends
    const ended = guard.setRules(rules);
    this.#options.onPolicy();
    if (this.#source !== this.#by || !isSame(this.#applied, rules)) this.#since = Date.now();
    this.#source = this.#by;
    this.#applied = rules;
    this.#changes++;
    this.#changedBy[this.#by]++;
    this.#ended += ended;
    try {
      network.policyChanged?.(rulesInForce(rules, given.ipv6 ?? false));
    } catch (error) {
      log.error(`${network.label} did not take the new policy`, { why: String(error) });
    }
    const ruleCount = rules.length;
    this.#events.policyChanged({ by: this.#by, ruleCount, stateful: guard.stateful, flowsEnded: ended });
  }

  /** A controller may change it a thousand times a second; the log says it once. */
  #logChanges(time: number): void {
    if (this.#changes === 0) return;
    const { given, guard, log } = this.#options;
    const { allow, block } = this.#policy.lists;
    const counts = { allow: allow.length, block: block.length, "flows-ended": this.#ended };
    log.info("policy changed", { by: this.#by, changes: this.#changes, ...counts });
    this.#changes = 0;
    this.#ended = 0;
    this.#logged = time;
    const advice = policyAdvice(guard.rules, guard.gateway, given.ipv6 ?? false);
    for (const line of advice) if (line !== undefined && !this.#advice.includes(line)) log.warn(line);
    this.#advice = advice;
  }

  #turnLane(on: boolean): object | string {
    const { lane, log } = this.#options;
    const why = lane.turn(on);
    if (why !== undefined) return why;
    log.info("express lane", { state: on ? "on" : "off" });
    return lane.describe();
  }

  #setLimits(text: string): void {
    const { limits, log } = this.#options;
    limits.set(text);
    log.info("limits changed", { limits: text.trim() === "" ? "none" : text });
  }

  /** Brings clock and counters up to date before they are read; returns the time. */
  #bringUpToDate(): number {
    const { guard, lane, system } = this.#options;
    const time = system.clock();
    guard.advance(time);
    if (this.counters !== undefined) lane.lane?.count(this.counters);
    return time;
  }

  #metrics(): string {
    const { guard, limits, network, given } = this.#options;
    const { allow, block } = this.#policy.lists;
    const mac = given.vmMacAddress ?? "";
    return describeMetrics({
      guard,
      vm: given.name ?? mac,
      mac,
      network: network.label,
      interface: given.attach ?? given.vmTap ?? null,
      counters: this.counters,
      delayed: limits.delayed,
      ruleCount: allow.length + block.length,
      revision: this.#policy.revision,
      changes: this.#changedBy,
      time: this.#bringUpToDate(),
    });
  }

  #status(): object {
    const { guard, lane, limits, network, given } = this.#options;
    const time = this.#bringUpToDate();
    return describeState({
      guard,
      network,
      mac: given.vmMacAddress ?? "",
      name: given.name ?? null,
      labels: given.label ?? [],
      interface: given.attach ?? given.vmTap ?? null,
      ipv6: given.ipv6 ?? false,
      file: given.policy ?? null,
      source: this.#source,
      since: this.#since,
      lists: this.#policy.lists,
      lane: lane.describe(),
      limits: limits.describe(),
      counters: this.counters?.snapshot(),
      time,
      uptime: Math.floor((time - this.#started) / 1e6),
    });
  }
}

/** Whether two lists have the same rules in the same order; a controller may set what holds already. */
function isSame(one: readonly Rule[], other: readonly Rule[]): boolean {
  if (one.length !== other.length) return false;
  return one.every(
    (rule, index) => rule.action === other[index]!.action && formatRule(rule) === formatRule(other[index]!),
  );
}

/** What is wrong on the host, where the network knows that and something is. */
function hostState({ host }: Network): { host?: { notices: readonly string[] } } {
  return host === undefined || host.notices.length === 0 ? {} : { host: { notices: host.notices } };
}

function describeDrop(direction: Direction, verdict: number, view: FrameView): EventFields {
  const remote = remoteOf(direction, view);
  return {
    reason: DROP_REASONS[verdict - 1]!.name,
    direction: DIRECTION_NAMES[direction],
    remote: addressText(remote),
    frame: describeFrame(view),
  };
}
