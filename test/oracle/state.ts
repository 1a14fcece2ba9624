/**
 * What the second guard remembers, as lists and plain objects. Nothing here is clever: entries carry the time at which
 * they were noted, and who asks filters by age.
 */
import type { GuardOptions } from "../../src/guard/types.ts";
import { addressNumber, type Cidr, cidr } from "./bytes.ts";
import { Flows, isClosed, lifetime } from "./flows.ts";
import { Fragments } from "./fragments.ts";
import type { State6 } from "./ipv6/state.ts";
import { FamilyNames } from "./names/family.ts";
import { isPinnable, namesOf4 } from "./names/family-4.ts";
import { Names } from "./names/names.ts";
import { splitRules } from "./names/rules.ts";
import { OwnRequest } from "./own-request.ts";
import { Questions } from "./questions.ts";
import { isByPort, isStateful, type OracleRule, parsePolicy } from "./rules.ts";

export const SECOND = 1_000_000;

export type Kind = "DISCOVER" | "SELECTING" | "INIT-REBOOT" | "RENEWING" | "REBINDING" | "INFORM";

export interface Offer {
  readonly server: number;
  readonly source: number;
  readonly mac: string;
  readonly yiaddr: number;
}

export interface Transaction {
  xid: number;
  time: number;
  kind: Kind;
  /** Option 80 in the last DISCOVER. */
  rapidCommit: boolean;
  offers: Offer[];
  /** Option 54 of a REQUEST in SELECTING. */
  named: number | undefined;
  /** Option 50, or ciaddr when renewing. */
  asked: number | undefined;
  /** The server that a REQUEST in RENEWING went to. */
  renewedFrom: number | undefined;
  /** Who acknowledged the last message of its kind. */
  acknowledgedBy: number | undefined;
  /** An ACK passed since the VM's last message. */
  answered: boolean;
  /** What the REQUEST asked for whose ACK or NAK has not passed yet: the same again says the same. */
  waiting: { readonly since: number; readonly question: string } | undefined;
}

export interface OracleBinding {
  readonly address: number;
  readonly fixed: boolean;
  readonly server: number | undefined;
  readonly expiry: number;
  readonly netmask: number | undefined;
  readonly router: number | undefined;
  readonly dnsServers: readonly number[];
}

export interface Pending {
  readonly address: number;
  readonly server: number | undefined;
  readonly time: number;
}

/** A token bucket counted in microseconds of saved time, so that it needs no fractions. */
export class Bucket {
  readonly #cost: number;
  readonly #full: number;
  #saved: number;
  #last: number | undefined;

  constructor(perSecond: number, burst: number) {
    this.#cost = SECOND / perSecond;
    this.#full = this.#cost * burst;
    this.#saved = this.#full;
  }

  /** Whether there is a token to take. */
  has(now: number): boolean {
    if (this.#last !== undefined) this.#saved = Math.min(this.#full, this.#saved + now - this.#last);
    this.#last = now;
    return this.#saved >= this.#cost;
  }

  take(now: number): boolean {
    if (!this.has(now)) return false;
    this.#saved -= this.#cost;
    return true;
  }

  giveBack(tokens: number): void {
    this.#saved = Math.min(this.#full, this.#saved + tokens * this.#cost);
  }
}

export class State {
  readonly vmMac: string;
  readonly mtu: number;
  readonly live: boolean;
  readonly reject: boolean;
  readonly exposedPorts: readonly number[];
  readonly trustedServer: number | undefined;
  readonly configuredGateway: number | undefined;
  readonly configuredGatewayMac: string | undefined;
  readonly serverMac: string | undefined;
  readonly hostname: string | undefined;
  readonly subnet: Cidr | undefined;
  readonly heldElsewhere: (address: number) => boolean;

  now = Number.NEGATIVE_INFINITY;
  binding: OracleBinding | undefined;
  /** The address of the last binding that there was, however it ended. */
  lastAddress: number | undefined;
  /** IPv4 source of the last ACK that made or renewed a binding. */
  lastTeacher: number | undefined;
  /** The binding that ended because its lease was over, for as long as the VM may ask for it again. */
  former: OracleBinding | undefined;
  /** In the order of opening. */
  transactions: Transaction[] = [];
  pending: Pending[] = [];
  probes: { address: number; time: number }[] = [];
  identifiers: { identifier: string; time: number }[] = [];
  /** Of the last 24 hours. */
  declines: number[] = [];
  /** The server that last acknowledged the living binding, when that spoke from its own address. */
  acknowledgedFrom: { readonly address: number; readonly mac: string } | undefined;
  readonly arpBucket = new Bucket(50, 200);
  readonly formerBucket = new Bucket(1, 10);
  readonly dhcpBucket = new Bucket(10, 50);
  readonly echoBucket = new Bucket(100, 200);
  readonly answerBucket = new Bucket(100, 200);
  readonly fragmentBucket = new Bucket(20, 400);

  rules: readonly OracleRule[];
  /** What is remembered of IPv6, where that is on. */
  ipv6: State6 | undefined;
  readonly flows = new Flows();
  readonly names: Names = new Names(this);
  readonly names4: FamilyNames = new FamilyNames(this.names, namesOf4(this));
  /** The VM's address with which the flows were made. */
  flowAddress: number | undefined;
  readonly fragments = new Fragments();
  /** Called when the gateway or the DNS servers are others than before. */
  onOtherNetwork: (what: string) => void = () => {};

  /** The gateway's MAC as learned, the VM's last request for it, the request that waits to be counted, the count. */
  learnedGatewayMac: string | undefined;
  gatewayRequest: number | undefined;
  countedRequest: number | undefined;
  unanswered = 0;

  /** Softnet's own questions for the gateway's MAC. */
  readonly questions: Questions;
  /** Softnet's own INIT-REBOOT. */
  readonly ownRequest: OwnRequest;

  /** What kind of frame passed last, for the tests' coverage; and whether a MAC is to be learned anew. */
  note = "";
  gatewayWasForgotten = false;
  readonly reached = new Map<string, number>();
  #givenUp: number[] = [];

  constructor(options: GuardOptions) {
    const optional = (text: string | undefined) => (text === undefined ? undefined : addressNumber(text));
    this.vmMac = options.macAddress.toLowerCase();
    this.mtu = options.mtu ?? 1500;
    this.live = options.live ?? false;
    this.reject = options.reject ?? false;
    this.exposedPorts = options.exposedPorts ?? [];
    const { allow, block, named } = splitRules(options.allow ?? [], options.block ?? []);
    this.rules = parsePolicy(allow, block);
    this.names.rules = named;
    this.names.mayPin = (address) =>
      typeof address === "number" ? isPinnable(this, address) : (this.ipv6?.mayPin(address) ?? false);
    this.trustedServer = optional(options.dhcpServer);
    this.configuredGateway = optional(options.gateway);
    this.configuredGatewayMac = options.gatewayMacAddress?.toLowerCase();
    this.serverMac = options.dhcpServerMacAddress?.toLowerCase();
    this.hostname = options.hostname?.toLowerCase();
    this.subnet = options.subnet === undefined ? undefined : cidr(options.subnet);
    this.questions = new Questions((options.ask ?? false) && this.configuredGatewayMac === undefined);
    this.ownRequest = new OwnRequest(options.ask ?? false);
    this.heldElsewhere = options.heldElsewhere ?? (() => false);
    if (options.address !== undefined) {
      this.binding = {
        address: addressNumber(options.address),
        fixed: true,
        server: undefined,
        expiry: Number.POSITIVE_INFINITY,
        netmask: undefined,
        router: undefined,
        dnsServers: [],
      };
      this.lastAddress = this.binding.address;
      this.flowAddress = this.binding.address;
    }
  }

  get stateful(): boolean {
    return isStateful(this.rules) || this.names.active;
  }

  /** With names as with `reject`. */
  get answersDenied(): boolean {
    return this.reject || this.names.active;
  }

  get byPort(): boolean {
    return isByPort(this.rules) || this.names.active;
  }

  /** The clock's whole second. */
  get second(): number {
    return Math.floor(this.now / SECOND);
  }

  get gateway(): number | undefined {
    return this.configuredGateway ?? this.binding?.router;
  }

  /** The gateway that ARP guards: an expired binding's too. */
  get guardedGateway(): number | undefined {
    return this.gateway ?? this.former?.router;
  }

  get gatewayMac(): string | undefined {
    return this.configuredGatewayMac ?? this.learnedGatewayMac;
  }

  /** The binding's server; for a static binding without one, the trusted server. */
  get server(): number | undefined {
    if (this.binding === undefined) return undefined;
    return this.binding.server ?? (this.binding.fixed ? this.trustedServer : undefined);
  }

  /** Moves the clock, forgets what has grown too old, and ends the binding when its lease is over. */
  advance(time: number): void {
    const before = this.second;
    this.now = Math.max(this.now, time);
    if (this.second !== before) this.#endOldFlows();
    const binding = this.binding;
    if (binding !== undefined && this.now >= binding.expiry) {
      this.notePending(binding.address, binding.server, binding.expiry);
      this.setBinding(undefined, this.acknowledgedFrom, binding);
    }
    const age = (then: number) => this.now - then;
    this.transactions = this.transactions.filter((entry) => age(entry.time) <= 60 * SECOND);
    this.pending = this.pending.filter((entry) => age(entry.time) <= 60 * SECOND);
    this.probes = this.probes.filter((entry) => age(entry.time) <= 3 * SECOND);
    this.declines = this.declines.filter((time) => age(time) < 24 * 3600 * SECOND);
    this.names.advance();
  }

  #endOldFlows(): void {
    const { second } = this;
    for (const flow of this.flows.end((one) => second - one.last > lifetime(one))) {
      const kind = isClosed(flow) ? "a closed" : flow.protocol === 1 ? "an echo" : "a";
      if (second - flow.last === lifetime(flow) + 1) this.reach(`${kind} flow ends after ${lifetime(flow)} seconds`);
      if (flow.halfOpen === "mid-stream") this.reach("a flow in mid-stream ends without an answer");
    }
    this.fragments.forgetOlder(second);
  }

  /** Every change of the binding comes through here, because a new or lost gateway takes its MAC with it. */
  setBinding(
    binding: OracleBinding | undefined,
    acknowledgedFrom?: { address: number; mac: string },
    former?: OracleBinding,
  ): void {
    const { gateway, guardedGateway, binding: before } = this;
    this.binding = binding;
    this.former = former;
    if (binding !== undefined) this.lastAddress = binding.address;
    if (binding !== undefined && this.ownRequest.forget()) this.reach("no request of softnet's own: the VM is bound");
    this.acknowledgedFrom = acknowledgedFrom;
    if (this.guardedGateway !== guardedGateway) this.forgetGatewayMac();
    if (binding?.address !== before?.address) {
      if (this.questions.end() && binding !== undefined) this.reach("no question any more: another address is bound");
    } else if (this.gateway !== gateway) {
      this.questions.end();
    }

    if (binding !== undefined && this.flowAddress !== binding.address) {
      if (this.flows.end(() => true).length > 0) this.reach("another address ends all flows");
      this.flowAddress = binding.address;
    }
    if (this.gateway !== gateway) this.onOtherNetwork("the gateway");
    else if (`${binding?.dnsServers ?? []}` !== `${before?.dnsServers ?? []}`) this.onOtherNetwork("the DNS servers");
  }

  /** RELEASE, DECLINE and NAK end a binding, but never a static one; and there is no former address any more. */
  endBinding(): void {
    if (this.binding !== undefined && !this.binding.fixed) this.setBinding(undefined);
    else this.forgetFormer();
  }

  forgetFormer(): void {
    if (this.former !== undefined) this.setBinding(undefined);
  }

  /** What RELEASE and DECLINE do: no answer that is still on its way may bind again. */
  giveUp(): void {
    this.endBinding();
    if (this.ownRequest.forget()) this.reach("no request of softnet's own: RELEASE or DECLINE");
    this.#givenUp = this.transactions.map((transaction) => transaction.xid);
    this.transactions = [];
  }

  gaveUp(xid: number): boolean {
    return this.#givenUp.includes(xid);
  }

  /** Counts a rare path, for the tests' coverage. */
  reach(path: string): void {
    this.reached.set(path, (this.reached.get(path) ?? 0) + 1);
  }

  forgetGatewayMac(): void {
    this.learnedGatewayMac = undefined;
    this.gatewayRequest = undefined;
    this.countedRequest = undefined;
    this.unanswered = 0;
  }

  /** Pending are pairs: two servers may have offered the same address. */
  notePending(address: number, server: number | undefined, time: number): void {
    this.pending = this.pending.filter((entry) => entry.address !== address || entry.server !== server);
    this.pending.push({ address, server, time });
    if (this.pending.length > 8) this.pending.shift();
  }

  isPending(address: number): boolean {
    return this.pending.some((entry) => entry.address === address);
  }

  noteProbe(address: number): void {
    this.probes = this.probes.filter((entry) => entry.address !== address);
    this.probes.push({ address, time: this.now });
    if (this.probes.length > 8) this.probes.shift();
  }

  knowsIdentifier(identifier: string): boolean {
    return this.identifiers.some((entry) => entry.identifier === identifier);
  }

  /** A full table has room when the one used longest ago, which stands first, was used 10 minutes ago or more. */
  hasRoomForIdentifier(): boolean {
    return this.identifiers.length < 4 || this.now - this.identifiers[0]!.time >= 600 * SECOND;
  }

  noteIdentifier(identifier: string): void {
    this.identifiers = this.identifiers.filter((entry) => entry.identifier !== identifier);
    if (this.identifiers.length === 4) this.identifiers.shift();
    this.identifiers.push({ identifier, time: this.now });
  }
}
