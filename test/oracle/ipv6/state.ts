/**
 * What the second guard remembers of IPv6, as lists and plain objects, and how time ends it: what is due up to now happens
 * one after the other, in the order of its times.
 */
import type { GuardOptions } from "../../../src/guard/types.ts";
import { Flows, lifetime } from "../flows.ts";
import { Fragments } from "../fragments.ts";
import { FamilyNames } from "../names/family.ts";
import { isPinnable6, namesOf6 } from "../names/family-6.ts";
import { Bucket, SECOND, type State } from "../state.ts";
import {
  address6,
  inPrefix,
  interfaceIdentifier,
  isInLinkLocal64,
  isLinkLocal,
  isMulticast,
  type Prefix,
  prefix6,
} from "./bytes.ts";
import { type Advertised, describe, type Exchange, newOwned, type Owned, type Router } from "./known.ts";
import { embeddedIn, isGlobalUnicast, UNIQUE_LOCAL } from "./registry.ts";

const TENTATIVE = 500_000;
const IDLE = 300 * SECOND;
const PROBES = 3;
const MOST = { linkLocal: 4, other: 16 };

export class State6 {
  readonly state: State;
  readonly faults: ReadonlySet<string>;
  readonly asks: boolean;
  readonly given: bigint | undefined;
  readonly givenMac: string | undefined;
  readonly ownPrefix: Prefix | undefined;
  readonly hostAddresses: readonly bigint[];
  readonly fixed: bigint | undefined;
  readonly #heldElsewhere: (address: bigint) => boolean;

  /** In the order of noting. */
  owned: Owned[] = [];
  /** Their leases are over; the one that ended first in front. */
  former: bigint[] = [];
  router: Router | undefined;
  prefixes: Advertised[] = [];
  nat64: (Prefix & { readonly end: number })[] = [];
  advertisedDns: { readonly address: bigint; readonly end: number }[] = [];
  leasedDns: readonly bigint[] = [];
  exchanges: Exchange[] = [];
  /** Pairs of DUID and IAID, the one used longest ago in front. */
  identities: { readonly pair: string; readonly time: number }[] = [];
  declines: number[] = [];
  /** Who sent the last REPLY, and from where. */
  lastReply: { readonly server: string; readonly source: bigint } | undefined;
  /** Router solicitations that were taken, when the next is due; questions for addresses that wait. */
  solicitations = 0;
  nextSolicitation = 0;
  waiting: bigint[] = [];

  readonly addressBucket = new Bucket(1, 32);
  readonly ndBucket = new Bucket(50, 200);
  readonly detectionBucket = new Bucket(1, 4);
  readonly dhcpBucket = new Bucket(10, 50);
  readonly echoBucket = new Bucket(100, 200);
  readonly answerBucket = new Bucket(100, 200);
  readonly fragmentBucket = new Bucket(20, 400);
  readonly flows: Flows<bigint>;
  readonly fragments = new Fragments();
  readonly names: FamilyNames;
  /** Called when what policy knows of the network is other than before. */
  onOtherNetwork: () => void = () => {};
  /** The verdict's circumstances, for the tests' coverage. */
  note = "";
  #network = "";
  #second = Number.NEGATIVE_INFINITY;

  constructor(state: State, options: GuardOptions, faults: ReadonlySet<string>) {
    const optional = (text: string | undefined) => (text === undefined ? undefined : address6(text));
    this.state = state;
    this.faults = faults;
    this.asks = options.ask ?? false;
    this.given = optional(options.router6);
    this.givenMac = options.router6MacAddress?.toLowerCase();
    this.ownPrefix = options.prefix6 === undefined ? undefined : prefix6(options.prefix6);
    this.hostAddresses = (options.hostAddresses6 ?? []).map(address6);
    this.fixed = optional(options.address6);
    this.#heldElsewhere = options.heldElsewhere6 ?? (() => false);
    const group = this.fault("half-open flows count by the whole address") ? 0n : 64n;
    this.flows = new Flows<bigint>((remote) => remote >> group);
    this.names = new FamilyNames(state.names, namesOf6(this));
    if (this.given !== undefined) {
      this.router = { address: this.given, mac: this.givenMac, found: "given", end: undefined };
    }
    if (this.fixed !== undefined) this.owned.push(newOwned(this.fixed, 0, { valid: true, origin: "static" }));
    for (const kept of options.restored?.addresses ?? [])
      if (kept.family === "ipv6") this.#restore(kept, options.restored?.time ?? 0);
    this.#network = this.#describeNetwork();
  }

  get now(): number {
    return this.state.now;
  }

  get second(): number {
    return this.state.second;
  }

  /** Whether a planted bug is in. */
  fault(name: string): boolean {
    return this.faults.has(name);
  }

  reach(path: string): void {
    this.state.reach(`IPv6: ${path}`);
  }

  // Addresses

  find(address: bigint): Owned | undefined {
    return this.owned.find((one) => one.address === address);
  }

  isValid(address: bigint): boolean {
    return this.find(address)?.valid ?? false;
  }

  get routerAddresses(): readonly bigint[] {
    return this.router === undefined ? this.hostAddresses : [this.router.address, ...this.hostAddresses];
  }

  get dnsServers(): readonly bigint[] {
    return [...this.advertisedDns.map(({ address }) => address), ...this.leasedDns];
  }

  mayBe(address: bigint): boolean {
    if (address === this.fixed) return true;
    if (interfaceIdentifier(address) === 0n || this.routerAddresses.includes(address)) return false;
    if (isInLinkLocal64(address)) return true;
    if (this.fixed !== undefined) return false;
    const prefixes = this.prefixes.filter(({ autonomous }) => autonomous);
    return [...prefixes, ...(this.ownPrefix ? [this.ownPrefix] : [])].some((prefix) => inPrefix(prefix, address));
  }

  /** Whether a name may have this address. */
  mayPin(address: bigint): boolean {
    return isPinnable6(this, address);
  }

  isHeldElsewhere(address: bigint): boolean {
    try {
      return this.#heldElsewhere(address);
    } catch {
      this.reach("nobody can tell whether an address is held");
      return true;
    }
  }

  /** Whether there is a place for further addresses that are not link-local; those in `kept` give theirs to nobody. */
  hasPlaces(count: number, kept: readonly bigint[] = []): boolean {
    const others = this.owned.filter(({ address }) => !isLinkLocal(address));
    const giving = others.filter(({ address, origin }) => origin === "slaac" && !kept.includes(address));
    return others.length - giving.length + count <= MOST.other;
  }

  /** Takes a place for an address, which another one may have to give. */
  add(address: bigint, more: Partial<Owned>, kept: readonly bigint[] = []): Owned {
    const linkLocal = isLinkLocal(address);
    const others = this.owned.filter((one) => isLinkLocal(one.address) === linkLocal);
    const most = linkLocal ? MOST.linkLocal : MOST.other - (this.fault("only 15 addresses") ? 1 : 0);
    const giving = others.filter((one) => one.origin === "slaac" && !kept.includes(one.address));
    if (others.length >= most && giving.length > 0) {
      const sorted = giving.sort((a, b) => a.used - b.used);
      const gone = this.fault("the address used last gives its place") ? sorted.at(-1)! : sorted[0]!;
      this.reach(
        `an address gives its place, ${linkLocal ? "link-local" : "other"}, ${gone.valid ? "valid" : "tentative"}`,
      );
      this.end(gone);
    }
    const owned = newOwned(address, this.now, more);
    this.owned.push(owned);
    this.former = this.former.filter((one) => one !== address);
    return owned;
  }

  end(owned: Owned): void {
    this.owned = this.owned.filter((one) => one !== owned);
    this.waiting = this.waiting.filter((address) => address !== owned.address);
    this.flows.end((flow) => flow.own === owned.address);
    if (owned.valid) this.fragments.forgetOf(owned.address);
  }

  use(address: bigint): void {
    const owned = this.find(address);
    if (owned === undefined) return;
    owned.used = this.now;
    owned.probes = 0;
  }

  // Time

  /** Does what is due up to now. */
  advance(): void {
    if (this.second !== this.#second) this.#endOldFlows();
    this.#second = this.second;
    for (;;) {
      const due = this.#events().filter(({ time }) => time <= this.now);
      due.sort((a, b) => a.time - b.time);
      if (due[0] === undefined) break;
      due[0].happens();
    }
    this.exchanges = this.exchanges.filter(({ time }) => this.now - time <= 60 * SECOND);
    this.declines = this.declines.filter((time) => this.now - time < 600 * SECOND);
    this.lookAtNetwork();
  }

  #events(): { readonly time: number; happens(): void }[] {
    const events: { time: number; happens(): void }[] = [];
    const at = (time: number, happens: () => void): void => {
      events.push({ time, happens });
    };
    const idle = IDLE + (this.asks && !this.fault("no probe before an address ends") ? PROBES * SECOND : 0);
    const tentative = this.fault("tentative for 499 ms") ? 499_000 : TENTATIVE;
    const linkLocals = this.owned.filter(({ address, valid }) => valid && isLinkLocal(address)).length;
    for (const one of this.owned) {
      if (!one.valid) {
        at(one.since + tentative, () => {
          this.reach(`a tentative address becomes valid${one.askedOnly ? " after softnet's question" : ""}`);
          one.valid = true;
          one.used = one.since + tentative;
          one.probes = 0;
        });
      } else if (one.origin === "dhcpv6") {
        at(one.expiry, () => {
          this.reach("a lease ends");
          this.end(one);
          this.former.push(one.address);
          if (this.former.length > (this.fault("only 15 former addresses") ? 15 : 16)) {
            this.reach("a former address is forgotten");
            this.former.shift();
          }
        });
      } else if (one.origin === "slaac") {
        const last = isLinkLocal(one.address) && linkLocals === 1;
        if (last && !this.fault("the last link-local address ends, too")) {
          if (this.now >= one.used + idle) this.reach("the last link-local address stays");
          continue;
        }
        at(one.used + idle, () => {
          this.reach(`an idle address ends, ${isLinkLocal(one.address) ? "link-local" : "other"}`);
          this.end(one);
        });
      }
    }
    const { router } = this;
    if (router?.end !== undefined) at(router.end, () => this.#endRouter(router));
    for (const one of this.prefixes) {
      at(one.end, () => {
        this.reach("a prefix ends");
        this.prefixes = this.prefixes.filter((other) => other !== one);
      });
    }
    for (const one of this.nat64) {
      at(one.end, () => {
        this.reach("a NAT64 prefix ends");
        this.nat64 = this.nat64.filter((other) => other !== one);
      });
    }
    for (const one of this.advertisedDns) {
      at(one.end, () => {
        this.reach("a DNS server ends");
        this.advertisedDns = this.advertisedDns.filter((other) => other !== one);
      });
    }
    return events;
  }

  #endOldFlows(): void {
    this.flows.end((flow) => this.second - flow.last > lifetime(flow));
    this.fragments.forgetOlder(this.second);
  }

  #endRouter(router: Router): void {
    this.reach(`the router ends, ${router.found}`);
    this.forgetTaught();
    this.router =
      router.found === "given"
        ? { address: router.address, mac: this.givenMac, found: "given", end: undefined }
        : undefined;
  }

  forgetTaught(): void {
    this.prefixes = [];
    this.nat64 = [];
    this.advertisedDns = [];
  }

  /** Has flows judged again where the network is another one than it was. */
  lookAtNetwork(): void {
    const network = this.#describeNetwork();
    if (network === this.#network) return;
    this.#network = network;
    this.onOtherNetwork();
  }

  #describeNetwork(): string {
    const onLink = this.prefixes.filter((one) => one.onLink);
    const list = (all: readonly Prefix[]) => all.map(({ prefix, length }) => `${prefix}/${length}`).sort();
    return `${this.router?.address} ${[...this.dnsServers].sort()} ${list(onLink)} ${list(this.nat64)}`;
  }

  // What was before

  #restore(
    kept: Extract<NonNullable<GuardOptions["restored"]>["addresses"][number], { family: "ipv6" }>,
    time: number,
  ): void {
    const { address, origin, expiry, lease } = kept;
    const linkLocal = isInLinkLocal64(address);
    const embeds = embeddedIn(address, []) !== undefined;
    if (address < 2n || isMulticast(address) || embeds || interfaceIdentifier(address) === 0n) return;
    if (this.routerAddresses.includes(address) || this.find(address) !== undefined || origin === "static") return;
    if (isLinkLocal(address) ? !linkLocal || origin !== "slaac" : this.fixed !== undefined) return;
    const count = this.owned.filter((one) => isLinkLocal(one.address) === linkLocal).length;
    if (count >= (linkLocal ? MOST.linkLocal : MOST.other)) return;
    if (origin === "slaac") {
      this.owned.push(newOwned(address, 0, { valid: true, origin, used: time }));
      this.reach("a restored address");
      return;
    }
    if (lease === undefined || !(expiry > 0) || !this.isAssignable(address)) return;
    if ([lease.server, lease.client].some(({ length }) => length < 1 || length > 130)) return;
    const duid = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
    const known = { server: duid(lease.server), client: duid(lease.client), iaid: lease.iaid };
    this.owned.push(newOwned(address, 0, { valid: true, origin, expiry, lease: known }));
    this.useIdentities([`${known.client} ${known.iaid}`], 0);
    this.reach("a restored lease");
  }

  /** What DHCPv6 may give. */
  isAssignable(address: bigint): boolean {
    if (!isGlobalUnicast(address) && !inPrefix(UNIQUE_LOCAL, address)) return false;
    if (embeddedIn(address, this.nat64) !== undefined || this.routerAddresses.includes(address)) return false;
    return this.fixed === undefined || address === this.fixed;
  }

  /** Whether each of these pairs is there or finds a place. */
  hasIdentities(pairs: readonly string[]): boolean {
    const known = this.identities.filter(({ pair }) => pairs.includes(pair));
    const others = this.identities.filter(({ pair }) => !pairs.includes(pair));
    const old = others.filter(({ time }) => this.now - time >= 600 * SECOND);
    const further = new Set(pairs).size - known.length;
    return further <= 8 - this.identities.length + old.length;
  }

  useIdentities(pairs: readonly string[], time: number): void {
    this.identities = this.identities.filter(({ pair }) => !pairs.includes(pair));
    for (const pair of new Set(pairs)) this.identities.push({ pair, time });
    this.identities = this.identities.slice(-8);
  }

  /** The VM's addresses that are valid, as text that can be compared. */
  get described(): string {
    const valid = this.owned.filter((one) => one.valid);
    return valid
      .map((one) => describe(one))
      .sort()
      .join(" ");
  }
}
