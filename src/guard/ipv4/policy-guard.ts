/**
 * Policy of IPv4 (docs/guard.md): rules, flows, and the rate of the VM's pings. What comes here is a packet of good form between
 * addresses that may stand there, with its first bytes at hand; what policy says of it is the last word.
 *
 * Without directions in the rules, and where the policy cannot change, a packet costs one look into the policy table.
 * Else it is looked for among the flows first (flow-guard.ts), and asks the rules only where it belongs to none.
 */
import { ALLOWED, GLOBAL, type KnownNetwork } from "../../policy/default-layer.ts";
import { rulesInForce } from "../../policy/families.ts";
import type { Rate } from "../../policy/limits.ts";
import type { Rule } from "../../policy/rule.ts";
import { IN, OUT } from "../../policy/rule-tree.ts";
import { PolicyTable } from "../../policy/table.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { judgeKind } from "../default-policy.ts";
import { NO_PLACE } from "../flow-family.ts";
import type { FlowGuard } from "../flow-guard.ts";
import { isEcho } from "../flow-key.ts";
import type { FlowObserver } from "../flow-observer.ts";
import type { FlowTable } from "../flow-table.ts";
import type { GuardSettings } from "../guard-settings.ts";
import type { NameFlows } from "../names/name-flows.ts";
import { NameGuard } from "../names/name-guard.ts";
import { NotedFlows } from "../noted-flows.ts";
import { Openings } from "../openings.ts";
import { explainPolicy } from "../policy-explanation.ts";
import { PASS, verdictOf } from "../reasons.ts";
import type { RuleHits } from "../rule-hits.ts";
import { isSameList } from "../same-list.ts";
import type { TokenBucket } from "../token-bucket.ts";
import type { Explanation, PolicyQuestion } from "../types.ts";
import { IPv4Flows } from "./ipv4-flows.ts";
import { NameAddresses } from "./name-addresses.ts";
import { OwnAddresses } from "./own-addresses.ts";

const ICMP_RATE = verdictOf("icmp.rate");

/** Of the VM's only address. */
const PLACE = 0;

const NOWHERE: KnownNetwork = Object.freeze({ gateway: 0, address: 0, netmask: 0, dnsServers: Object.freeze([]) });

export class PolicyGuard {
  /** Of both families. */
  readonly nameGuard: NameGuard;
  readonly openings = new Openings();
  readonly #live: boolean;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  readonly #observer: FlowObserver | undefined;
  readonly #echoBucket: TokenBucket;
  readonly #own = new OwnAddresses();
  readonly #family: IPv4Flows;
  readonly #flows: NotedFlows;
  readonly #hits: RuleHits;
  readonly #ipv6: boolean;
  /** Without those that they imply. */
  #rules: readonly Rule[];
  #inForce: readonly Rule[];
  #knownNetwork = NOWHERE;
  #table: PolicyTable;
  /** While packets are noted in flows. */
  #noting: FlowGuard | undefined;
  /** The VM's address that the flows are of, host order; 0 = none yet. */
  #flowsOf = 0;
  /** Called when the gateway or the DNS servers have changed: what a packet to them is judged by. */
  onNetwork: (() => void) | undefined;

  constructor(
    { rules, ipv6, live, reject }: GuardSettings,
    clock: Float64Array,
    observer?: FlowObserver,
    names = new NameGuard(ipv6, undefined),
  ) {
    this.nameGuard = names;
    this.#live = live || observer !== undefined;
    this.#observer = observer;
    this.#clock = clock;
    this.#ipv6 = ipv6;
    this.#rules = rules;
    this.#inForce = rulesInForce(rules, ipv6);
    this.#hits = names.hits;
    this.#hits.setRules(this.#inForce);
    this.#table = new PolicyTable(this.#inForce, NOWHERE);
    this.#family = new IPv4Flows(this.#own, this.#table);
    this.#flows = new NotedFlows(this.#family, reject, clock, names, this.openings, observer);
    names.join(this.#family, false);
    this.#echoBucket = this.#flows.echoBucket;
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
    return this.#flows.table;
  }

  /** What rules and default policy make of an address now. */
  get table(): PolicyTable {
    return this.#table;
  }

  /** The VM's address that the flows are of, host order; 0 = none yet. */
  get flowsOf(): number {
    return this.#flowsOf;
  }

  /** Whether a packet to the VM from an address, which passes, may open a flow. */
  mayOpenToVm(remote: number, port: number): boolean {
    return this.#family.mayOpenToVm(remote, port);
  }

  /** Whether names may open an address; only while the policy has some. */
  isPinnable(address: number): boolean {
    return this.#family.isPinnable(address);
  }

  /** Whether a rule blocks this port of one address, against every name; only while the policy has some. */
  outranksNames(address: number, port: number): boolean {
    return this.#family.outranksNames(address, port);
  }

  /** Limits the flows that the VM opens; undefined = no limit. */
  limitFlows(rate: Rate | undefined): void {
    this.openings.limit(rate);
    this.#configure();
  }

  /** Ends what is over. To be called whenever the clock was moved. */
  advance(): void {
    this.#flows.advance();
  }

  /** Puts other rules into force as a whole; returns how many flows they cut. */
  setRules(rules: readonly Rule[]): number {
    this.#observer?.invalidate();
    this.#rules = rules;
    this.#inForce = rulesInForce(rules, this.#ipv6);
    this.#hits.setRules(this.#inForce);
    this.#setTable(new PolicyTable(this.#inForce, this.#knownNetwork));
    return this.#flows.judgeAgain(true);
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
      this.#setTable(new PolicyTable(this.#inForce, knownNetwork));
      this.#own.update(address, netmask);
    }
    if (moved) {
      this.#flowsOf = address;
      this.#flows.clear();
    } else if (renamed) {
      this.#flows.judgeAgain(false);
    }
    if (renamed) this.onNetwork?.();
  }

  #setTable(table: PolicyTable): void {
    this.#table = table;
    this.#family.table = table;
    this.#configure();
  }

  #configure(): void {
    const hasNames = this.nameGuard.table !== undefined;
    this.#family.nameAddresses = hasNames ? new NameAddresses(this.#inForce, this.#knownNetwork) : undefined;
    const isNoted = this.#table.stateful || this.#live || hasNames || this.openings.bucket !== undefined;
    this.#noting = isNoted ? this.#flows.needed() : undefined;
  }

  /** Judges a packet from the VM whose destination is not in 0.0.0.0/8 or 127.0.0.0/8. */
  egress(view: FrameView): number {
    const table = this.#table;
    if (this.#noting !== undefined) return this.#noting.judge(OUT, view, PLACE);
    const port = view.destinationPort;
    const kind = table.byPort ? table.ask(OUT, view.destination, port) : table.lookup(view.destination);
    this.#hits.count(table.decidingNumber, this.#clock);
    if (kind !== GLOBAL && kind !== ALLOWED) {
      const verdict = judgeKind(kind, view.protocol, port, view.fragmentBits !== 0);
      if (verdict !== PASS) return verdict;
    }
    return isEcho(view.icmpType) && !this.#echoBucket.take(this.#clock[0]!) ? ICMP_RATE : PASS;
  }

  /** Judges a packet to the VM. */
  ingress(view: FrameView): number {
    if (this.#noting === undefined) return PASS;
    const { word } = this.#own;
    return this.#noting.judge(IN, view, word !== 0 && view.destinationWord === word ? PLACE : NO_PLACE);
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
    return this.#flows.isOfCutFlow(view, PLACE);
  }

  /** Whether what is denied is answered now. */
  get answersDenied(): boolean {
    return this.#flows.answersDenied;
  }

  /** What names say; undefined while the policy has none. */
  get names(): NameFlows | undefined {
    return this.#flows.names;
  }

  /** The next flow that gets a RST (option `reject`), which waits no longer; NO_FLOW = none. */
  nextReset(): number {
    return this.#flows.nextReset();
  }

  /** As `Guard.explain`. */
  explain(question: PolicyQuestion): Explanation {
    return explainPolicy(question, this.#table, this.#inForce, this.#knownNetwork, this.#flows.names?.names);
  }
}
