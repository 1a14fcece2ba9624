/**
 * Policy (docs/guard.md): rules, flows, and the rate of the VM's pings. What comes here is a packet of good form between
 * addresses that may stand there, with its first bytes at hand; what policy says of it is the last word.
 *
 * Without directions in the rules, and where the policy cannot change, a packet costs one look into the policy table.
 * Else it is looked for among the flows first (flow-guard.ts), and asks the rules only where it belongs to none.
 */
import { ALLOWED, GLOBAL, type KnownNetwork } from "../policy/default-layer.ts";
import type { Rule } from "../policy/rule.ts";
import { IN, OUT } from "../policy/rule-tree.ts";
import { PolicyTable } from "../policy/table.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { judgeKind } from "./default-policy.ts";
import { FlowGuard } from "./flow-guard.ts";
import { isEcho } from "./flow-key.ts";
import type { FlowObserver } from "./flow-observer.ts";
import { type FlowTable, NO_FLOW } from "./flow-table.ts";
import type { GuardSettings } from "./guard-settings.ts";
import { OwnAddresses } from "./own-addresses.ts";
import { explainPolicy } from "./policy-explanation.ts";
import { PASS, verdictOf } from "./reasons.ts";
import { Resets } from "./resets.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { Explanation, PolicyQuestion } from "./types.ts";

const ICMP_RATE = verdictOf("icmp.rate");

const ECHOES_PER_SECOND = 100;
const ECHO_BURST = 200;

const NOWHERE: KnownNetwork = Object.freeze({ gateway: 0, address: 0, netmask: 0, dnsServers: Object.freeze([]) });

export class PolicyGuard {
  readonly #live: boolean;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  readonly #resets: Resets | undefined;
  readonly #observer: FlowObserver | undefined;
  readonly #echoBucket = new TokenBucket(ECHOES_PER_SECOND, ECHO_BURST);
  readonly #own = new OwnAddresses();
  #rules: readonly Rule[];
  #knownNetwork = NOWHERE;
  #table: PolicyTable;
  /** Made when flows are needed first, and kept from then on. */
  #flowGuard: FlowGuard | undefined;
  /** The same, while packets are noted in flows. */
  #noting: FlowGuard | undefined;
  /** The VM's address that the flows are of, host order; 0 = none yet. */
  #flowsOf = 0;
  #second = 0;

  constructor({ rules, live, reject }: GuardSettings, clock: Float64Array, observer?: FlowObserver) {
    this.#live = live || observer !== undefined;
    this.#observer = observer;
    this.#clock = clock;
    this.#resets = reject ? new Resets() : undefined;
    this.#rules = rules;
    this.#table = new PolicyTable(rules, NOWHERE);
    this.#configure();
  }

  get rules(): readonly Rule[] {
    return this.#rules;
  }

  /** The policy judges both directions, by flows. */
  get stateful(): boolean {
    return this.#table.stateful;
  }

  /** Undefined while there never was a need for flows. */
  get flows(): FlowTable | undefined {
    return this.#flowGuard?.flows;
  }

  /** The VM's address that the flows are of, host order; 0 = none yet. */
  get flowsOf(): number {
    return this.#flowsOf;
  }

  /** Ends what is over. To be called whenever the clock was moved. */
  advance(): void {
    const second = Math.floor(this.#clock[0]! / 1_000_000);
    if (second === this.#second) return;
    this.#second = second;
    this.#flowGuard?.flows.advance(second);
  }

  /** Puts other rules into force as a whole; returns how many flows they cut. */
  setRules(rules: readonly Rule[]): number {
    this.#observer?.invalidate();
    this.#table = new PolicyTable(rules, this.#knownNetwork);
    this.#rules = rules;
    this.#configure();
    return this.#judgeAgain(this.#resets);
  }

  /** Follows the binding and what came along with it. */
  updateNetwork(knownNetwork: KnownNetwork): void {
    const { address, netmask } = knownNetwork;
    const before = this.#knownNetwork;
    const moved = address !== 0 && address !== this.#flowsOf;
    const renamed = knownNetwork.gateway !== before.gateway || !isSameList(knownNetwork.dnsServers, before.dnsServers);
    if (renamed || address !== before.address || netmask !== before.netmask) {
      this.#observer?.invalidate();
      this.#knownNetwork = knownNetwork;
      this.#table = new PolicyTable(this.#rules, knownNetwork);
      this.#own.update(address, netmask);
    }
    if (moved) {
      this.#flowsOf = address;
      this.#flowGuard?.flows.clear();
      this.#resets?.clear();
    } else if (renamed) {
      this.#judgeAgain(undefined);
    }
  }

  #configure(): void {
    const notes = this.#table.stateful || this.#live;
    if (notes && this.#flowGuard === undefined) {
      this.#flowGuard = new FlowGuard(this.#own, this.#echoBucket, this.#clock, this.#observer);
      this.#flowGuard.flows.advance(this.#second);
    }
    this.#noting = notes ? this.#flowGuard : undefined;
  }

  #judgeAgain(resets: Resets | undefined): number {
    return this.#flowGuard?.judgeAgain(this.#table, resets) ?? 0;
  }

  /** Judges a packet from the VM whose destination is not in 0.0.0.0/8 or 127.0.0.0/8. */
  egress(view: FrameView): number {
    const table = this.#table;
    if (this.#noting !== undefined) return this.#noting.judge(OUT, view, table);
    const port = view.destinationPort;
    const kind = table.byPort ? table.ask(OUT, view.destination, port) : table.lookup(view.destination);
    if (kind !== GLOBAL && kind !== ALLOWED) {
      const verdict = judgeKind(kind, view.protocol, port, view.fragmentBits !== 0);
      if (verdict !== PASS) return verdict;
    }
    return isEcho(view.icmpType) && !this.#echoBucket.take(this.#clock[0]!) ? ICMP_RATE : PASS;
  }

  /** Judges a packet to the VM. */
  ingress(view: FrameView): number {
    return this.#noting === undefined ? PASS : this.#noting.judge(IN, view, this.#table);
  }

  /** Whether the directed broadcast address is known. */
  get knowsBroadcast(): boolean {
    return this.#own.knowsBroadcast;
  }

  /** Multicast and broadcast addresses, as far as they are known. */
  isGroup(address: number): boolean {
    return this.#own.isGroup(address);
  }

  /** Whether a packet of the VM's is a TCP segment of a flow that is cut. */
  isOfCutFlow(view: FrameView): boolean {
    return this.#flowGuard?.isOfCutFlow(view) ?? false;
  }

  /** The next flow that gets a RST (option `reject`), which waits no longer; NO_FLOW = none. */
  nextReset(): number {
    const flows = this.#flowGuard?.flows;
    return this.#resets === undefined || flows === undefined ? NO_FLOW : this.#resets.take(flows);
  }

  /** As `Guard.explain`. */
  explain(question: PolicyQuestion): Explanation {
    return explainPolicy(question, this.#table, this.#rules, this.#knownNetwork);
  }
}

function isSameList(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((value, index) => value === other[index]);
}
