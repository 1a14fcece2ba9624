/**
 * The guard: what passes between a VM and its network. Pure: frames and a time go in, a verdict comes out; docs/guard.md
 * and, for IPv6, docs/guard-ipv6.md are its specification. This file is the walk of a frame, the same in both directions:
 * length, Ethernet addresses, type; then the address family that the type belongs to (ipv4/, ipv6/), which asks policy last.
 *
 * The relay calls `advance` once a batch, and one of the two judges for each frame that it has read into a view; nothing
 * on that way allocates, and all that is compared is a number.
 */
import { checkFamilies } from "../policy/families.ts";
import type { Rate } from "../policy/limits.ts";
import { checkRuleCount, type Rule } from "../policy/rule.ts";
import { TYPE_ARP, TYPE_IPV4, TYPE_IPV6 } from "../wire/ethernet.ts";
import { FrameView } from "../wire/frame-view.ts";
import { SHORT } from "../wire/malformed.ts";
import { segmentSizeOf } from "../wire/virtio-net.ts";
import { bindingOf } from "./binding.ts";
import { Diagnostics } from "./diagnostics.ts";
import type { FlowObserver } from "./flow-observer.ts";
import { guardSettings } from "./guard-settings.ts";
import { IPv4Family } from "./ipv4/ipv4-family.ts";
import { PolicyGuard } from "./ipv4/policy-guard.ts";
import { IPv6Family } from "./ipv6/ipv6-family.ts";
import { ipv6Settings } from "./ipv6-settings.ts";
import type { LearnedNetwork6 } from "./known-network-6.ts";
import { explainName } from "./names/name-explanation.ts";
import { NameGuard } from "./names/name-guard.ts";
import { DROP_REASONS, PASS, verdictOf } from "./reasons.ts";
import type { RuleHit } from "./rule-hits.ts";
import type {
  Binding,
  Explanation,
  GuardOptions,
  NameCount,
  NameExplanation,
  NamePair,
  NameQuestion,
  PolicyQuestion,
  Verdict,
} from "./types.ts";

const FRAME_SHORT = verdictOf("frame.short");
const FRAME_LONG = verdictOf("frame.long");
const ETHERNET_SOURCE = verdictOf("ethernet.source");
const ETHERNET_DESTINATION = verdictOf("ethernet.destination");
const ETHERNET_TYPE = verdictOf("ethernet.type");
const ETHERNET_IPV6 = verdictOf("ethernet.ipv6");

/** The group bit of an Ethernet address, in its upper 16 bits. */
const GROUP_BIT = 0x100;

const PASSED: Verdict = Object.freeze({ verdict: "pass" });
const DROPPED: readonly Verdict[] = DROP_REASONS.map(({ name }) => Object.freeze({ verdict: "drop", reason: name }));

/** The shared, frozen object for a verdict's number. */
export function verdictObject(verdict: number): Verdict {
  return verdict === PASS ? PASSED : DROPPED[verdict - 1]!;
}

/**
 * Makes a guard for one VM. Throws OptionError when an option is wrong. `observer`: who may pass packets of flows that the
 * guard has admitted; flows are noted for it, whatever the rules.
 *
 * @example
 * const guard = createGuard({ macAddress: "02:00:00:00:00:01", block: ["10.0.0.0/8"] });
 * const { verdict, reason } = guard.egress(frame, performance.now() * 1000);
 */
export function createGuard(options: GuardOptions, observer?: FlowObserver): Guard {
  return new Guard(options, observer);
}

/** Throws OptionError for what `createGuard` would not take. It makes no tables, which would wait long for a collection. */
export function checkGuardOptions(options: GuardOptions): void {
  guardSettings(options);
  ipv6Settings(options);
}

export class Guard {
  /** The VM's Ethernet address as views have them. */
  readonly #macHigh: number;
  readonly #macLow: number;
  readonly #longestFrame: number;
  readonly #hasIPv6: boolean;
  readonly #names: NameGuard;
  readonly #policy: PolicyGuard;
  readonly #ipv4: IPv4Family;
  /** Undefined where IPv6 is off. */
  readonly #ipv6: IPv6Family | undefined;
  readonly #diagnostics: Diagnostics;
  /** Microseconds; in a typed array, because a number in a field would be boxed anew each time. */
  readonly #clock = new Float64Array(1);
  /** What `egress` and `ingress` read their frames into. */
  readonly #fromVm = new FrameView();
  readonly #toVm = new FrameView();

  constructor(options: GuardOptions, observer?: FlowObserver) {
    const settings = guardSettings(options);
    this.#macHigh = Math.floor(settings.mac / 0x100000000);
    this.#macLow = settings.mac | 0;
    this.#longestFrame = settings.longestFrame;
    this.#hasIPv6 = settings.ipv6;
    this.#names = new NameGuard(settings.ipv6, options.onName, options.learn);
    this.#names.setRules(settings.rules);
    this.#policy = new PolicyGuard(settings, this.#clock, observer, this.#names);
    this.#diagnostics = new Diagnostics(settings.mac);
    this.#ipv4 = new IPv4Family(settings, options, this.#policy, this.#clock, this.#diagnostics, observer);
    const ipv6 = ipv6Settings(options);
    const gatewayMac = (): number => this.#ipv4.gatewayMac;
    this.#ipv6 =
      ipv6 && new IPv6Family(settings, ipv6, options, this.#policy, this.#clock, this.#diagnostics, gatewayMac);
    this.#names.restore(options.restoredNames ?? []);
  }

  /** Judges a frame from the VM. `time`: microseconds on any clock that does not go back (earlier counts as the last). */
  egress(frame: Uint8Array, time: number): Verdict {
    this.advance(time);
    this.#fromVm.read(frame, 0, frame.length);
    const verdict = this.judgeEgress(this.#fromVm);
    if (this.#diagnostics.observed) this.#diagnostics.verdict("egress", verdict, this.#clock[0]!, this.#fromVm);
    return verdictObject(verdict);
  }

  /** Judges a frame to the VM; `time` as in `egress`. */
  ingress(frame: Uint8Array, time: number): Verdict {
    this.advance(time);
    this.#toVm.read(frame, 0, frame.length);
    const verdict = this.judgeIngress(this.#toVm);
    if (this.#diagnostics.observed) this.#diagnostics.verdict("ingress", verdict, this.#clock[0]!, this.#toVm);
    return verdictObject(verdict);
  }

  /** Tells the time, in microseconds, before the frames of a batch are judged; ends an address whose lease is over. */
  advance(time: number): void {
    // Not Math.max: a NaN must not poison the clock.
    if (time > this.#clock[0]!) this.#clock[0] = time;
    this.#policy.advance();
    this.#ipv4.advance();
    this.#ipv6?.advance();
  }

  /** As `egress`, after `advance`, for a frame that was read; returns PASS or a drop reason's number. */
  judgeEgress(view: FrameView): number {
    if (view.malformed === SHORT) return FRAME_SHORT;
    if (view.length > this.#longestFrame && segmentSizeOf(view.offload) === 0) return FRAME_LONG;
    if (view.sourceLow !== this.#macLow || view.sourceHigh !== this.#macHigh) return ETHERNET_SOURCE;
    if (view.isToReserved) return ETHERNET_DESTINATION;
    const { type } = view;
    if (type === TYPE_IPV4 || type === TYPE_ARP) return this.#ipv4.judgeEgress(view);
    if (type !== TYPE_IPV6) return ETHERNET_TYPE;
    return this.#ipv6 === undefined ? ETHERNET_IPV6 : this.#ipv6.judgeEgress(view);
  }

  /** As `ingress`, after `advance`, for a frame that was read; returns PASS or a drop reason's number. */
  judgeIngress(view: FrameView): number {
    if (view.malformed === SHORT) return FRAME_SHORT;
    if (view.length > this.#longestFrame && segmentSizeOf(view.offload) === 0) return FRAME_LONG;
    const { sourceHigh, sourceLow } = view;
    if ((sourceHigh & GROUP_BIT) !== 0 || (sourceHigh === 0 && sourceLow === 0)) return ETHERNET_SOURCE;
    if (sourceLow === this.#macLow && sourceHigh === this.#macHigh) return ETHERNET_SOURCE;
    const toVm = view.destinationLow === this.#macLow && view.destinationHigh === this.#macHigh;
    if (!toVm && (!view.isToGroup || view.isToReserved)) return ETHERNET_DESTINATION;
    const { type } = view;
    if (type === TYPE_IPV4 || type === TYPE_ARP) return this.#ipv4.judgeIngress(view);
    if (type !== TYPE_IPV6) return ETHERNET_TYPE;
    return this.#ipv6 === undefined ? ETHERNET_IPV6 : this.#ipv6.judgeIngress(view);
  }

  /** The VM's addresses now, of all families; made anew for each call. */
  get binding(): Binding {
    return bindingOf([...this.#ipv4.addresses, ...(this.#ipv6?.addresses ?? [])]);
  }

  /** The gateway's address, host order; 0 = not known. */
  get gateway(): number {
    return this.#ipv4.gateway;
  }

  /** Whether IPv6 is on: then there may be something to ask the VM (`takeProbe`), and answers are longer. */
  get hasIPv6(): boolean {
    return this.#ipv6 !== undefined;
  }

  /** The IPv6 router's link-local address; 0n = not known. */
  get router6(): bigint {
    return this.#ipv6?.router ?? 0n;
  }

  /** What is known of the IPv6 network, for people; undefined where IPv6 is off. */
  get learnedNetwork6(): LearnedNetwork6 | undefined {
    return this.#ipv6?.learnedNetwork;
  }

  /** The rules in force. */
  get rules(): readonly Rule[] {
    return this.#policy.rules;
  }

  /** Whether the policy judges both directions by flows: as soon as one rule has a direction. */
  get stateful(): boolean {
    return this.#policy.stateful;
  }

  /** What was asked and said by name, counted name by name. */
  get names(): Iterable<NameCount> {
    return this.#names;
  }

  /** The addresses that names have, to be kept for a restart (`restoredNames`); the one whose answer is the oldest first. */
  get namePairs(): Iterable<NamePair> {
    return this.#names.kept(this.#clock[0]!);
  }

  /** Grows whenever `namePairs` may have become others. */
  get namePairChanges(): number {
    return this.#names.pairs.changes;
  }

  /** How many flows were live when the clock was last set. */
  get flows(): number {
    return (this.#policy.flows?.live ?? 0) + (this.#ipv6?.flows ?? 0);
  }

  /** The same by family; without IPv6 where that is off. */
  get flowsByFamily(): { readonly ipv4: number; readonly ipv6?: number } {
    const ipv4 = this.#policy.flows?.live ?? 0;
    return this.#ipv6 === undefined ? { ipv4 } : { ipv4, ipv6: this.#ipv6.flows };
  }

  /** How often each rule decided, and when last. */
  get ruleHits(): readonly RuleHit[] {
    return this.#names.hits.all();
  }

  /** The same of the default policy. */
  get defaultHits(): Pick<RuleHit, "hits" | "last"> {
    return this.#names.hits.ofDefault;
  }

  /** Lookups by the VM while rules have names, by what became of them, in the order of QUERY_DECISIONS. */
  get queryDecisions(): Readonly<Float64Array> {
    return this.#names.gate.decisions;
  }

  /** How many pairs of a name and an address are noted. */
  get pairCount(): number {
    return this.#names.pairs.size;
  }

  /**
   * Puts other rules (of `parseRules`) into force, all at once; flows that they no longer allow are cut. Returns how many
   * those were. Throws OptionError for too many rules, or for IPv6's where that is off; then nothing has changed.
   */
  setRules(rules: readonly Rule[]): number {
    checkRuleCount(rules.length);
    checkFamilies(rules, this.#hasIPv6);
    this.#names.setRules(rules);
    const cut = this.#policy.setRules(rules);
    this.#ipv4.rulesChanged();
    return cut + (this.#ipv6?.setRules(rules) ?? 0);
  }

  /** Limits how many flows the VM may open a second, of both families together; undefined = as many as it likes. */
  limitFlows(rate: Rate | undefined): void {
    this.#policy.limitFlows(rate);
    this.#ipv6?.limitFlows();
  }

  /**
   * What policy makes of a packet that belongs to no flow yet, and why; nothing is sent, counted or noted. Throws OptionError
   * for an IPv6 address while IPv6 is off.
   */
  explain(question: PolicyQuestion): Explanation {
    const { remote } = question;
    if (this.#ipv6 !== undefined && typeof remote === "bigint") return this.#ipv6.explain({ ...question, remote });
    return this.#policy.explain(question);
  }

  /** What policy makes of a connection to a name; nothing is looked up. Throws OptionError for what is no name. */
  explainName(question: NameQuestion): NameExplanation {
    return explainName(this.#names, question, this.#clock[0]!);
  }

  /**
   * When `advance`, `takeQuestion` or `takeProbe` has something to do even if no frame comes: the end of an address, the
   * next question.
   * Microseconds; Infinity = never.
   */
  get deadline(): number {
    return this.#ipv6 === undefined ? this.#ipv4.deadline : Math.min(this.#ipv4.deadline, this.#ipv6.deadline);
  }

  /**
   * Writes the answer that a dropped frame of the VM's gets (option `reject`) to `out` at `at`, at most 70 bytes, with
   * IPv6 LONGEST_ANSWER_6, and returns its length; 0 = none. `view` as it was given to `judgeEgress`, `verdict` what that returned.
   */
  answer(view: FrameView, verdict: number, out: Uint8Array, at: number): number {
    if (view.type === TYPE_IPV6) return this.#ipv6?.answer(view, verdict, out, at) ?? 0;
    return this.#ipv4.answer(view, verdict, out, at);
  }

  /**
   * Writes the RST for the next TCP flow that `setRules` has cut (option `reject`) to `out` at `at`, 60 or 74 bytes, and
   * returns its length; 0 = none waits.
   */
  takeReset(out: Uint8Array, at: number): number {
    return this.#ipv4.takeReset(out, at) || (this.#ipv6?.takeReset(out, at) ?? 0);
  }

  /**
   * Writes a question in the VM's name to `out` at `at` and returns its length; 0 = there is nothing to ask now. An
   * INIT-REBOOT, at most LONGEST_REQUEST bytes, an ARP request, who has the gateway's address, 60 bytes, or in IPv6 a router
   * solicitation or the duplicate address detection of an address that the VM seems to use, 62 and 78 bytes. It is for the network, soon after a frame in either direction, and at `deadline` (option `ask`).
   */
  takeQuestion(out: Uint8Array, at: number): number {
    return this.#ipv4.takeQuestion(out, at) || (this.#ipv6?.takeQuestion(out, at) ?? 0);
  }

  /**
   * Writes a question to the VM, whether it still has an IPv6 address, to `out` at `at`, 78 bytes, and returns its length; 0 =
   * there is nothing to ask now. It is for the VM, at `deadline` (options `ask` and `ipv6`).
   */
  takeProbe(out: Uint8Array, at: number): number {
    return this.#ipv6?.takeProbe(out, at) ?? 0;
  }
}
