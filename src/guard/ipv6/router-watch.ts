/**
 * The router: who it is, and what it advertised (docs/guard-ipv6.md, The router; RFC 6105). It is the one that was
 * configured, else the machine whose MAC is known as the IPv4 gateway's, else the first that advertises itself; nobody takes
 * the place of one that lives, but the gateway of one that was found first.
 */
import type { KnownNetwork6 } from "../../policy/default-layer-6.ts";
import { UNKNOWN_MAC } from "../../wire/address.ts";
import { addressOfWords, isLinkLocalAddress, isMulticast, wordsOf } from "../../wire/ipv6-address.ts";
import { hasNoInterface, isInLinkLocalPrefix, isSameAddress } from "../../wire/ipv6-words.ts";
import type { NdMessage } from "../../wire/neighbor-discovery.ts";
import {
  OPTION_DNS_SERVERS,
  OPTION_PREF64,
  OPTION_PREFIX,
  readDnsServers,
  readNat64Prefix,
  readPrefix,
} from "../../wire/router-options.ts";
import type { IPv6Settings } from "../ipv6-settings.ts";
import type { LearnedNetwork6, LearnedPrefix6, LearnedRouter6 } from "../known-network-6.ts";
import { Advertised, MOST_ADVERTISED_DNS, MOST_NAT64, MOST_PREFIXES } from "./advertised.ts";

/** What a router says of its own end must count, and nobody may take its place while it starts again; microseconds. */
const LEAST_LIFE = 60_000_000;
const NEVER = Number.POSITIVE_INFINITY;
/** No advertisement counts. */
const NONE = Number.NEGATIVE_INFINITY;
const UNKNOWN = -1;

const NOT_FOUND = 0;
const FIRST = 1;
const GATEWAY = 2;
const CONFIGURED = 3;

export class RouterWatch {
  readonly #settings: IPv6Settings;
  readonly #gatewayMac: () => number;
  readonly #hosts: readonly Int32Array[];
  readonly #given: Int32Array | undefined;
  /** Its link-local address, while it is found or configured. */
  readonly #address = new Int32Array(4);
  #found = NOT_FOUND;
  /** Its MAC: the upper 16 bits, UNKNOWN while it is not known, and the lower 32 as a signed number. */
  #macHigh = UNKNOWN;
  #macLow = 0;
  /** Microseconds, in place 0: when its last advertisement is over; NONE = there is none. */
  readonly #end = Float64Array.of(NONE);
  readonly #prefixes = new Advertised(MOST_PREFIXES);
  readonly #nat64 = new Advertised(MOST_NAT64);
  readonly #dns = new Advertised(MOST_ADVERTISED_DNS);

  /** `gatewayMac`: the IPv4 gateway's known MAC, or UNKNOWN_MAC. */
  constructor(settings: IPv6Settings, gatewayMac: () => number) {
    this.#settings = settings;
    this.#gatewayMac = gatewayMac;
    this.#hosts = settings.hostAddresses.map(wordsOf);
    this.#given = settings.prefix === undefined ? undefined : wordsOf(settings.prefix);
    if (settings.router === undefined) return;
    this.#found = CONFIGURED;
    this.#address.set(wordsOf(settings.router));
    this.#configureMac();
  }

  #configureMac(): void {
    const { routerMac } = this.#settings;
    this.#macHigh = routerMac === UNKNOWN_MAC ? UNKNOWN : Math.floor(routerMac / 0x100000000);
    this.#macLow = routerMac === UNKNOWN_MAC ? 0 : routerMac | 0;
  }

  /** Its link-local address; 0n = there is none. */
  get address(): bigint {
    const [first, second, third, fourth] = this.#address;
    return this.#found === NOT_FOUND ? 0n : addressOfWords(first!, second!, third!, fourth!);
  }

  /** Whether an advertisement of its counts. */
  get advertises(): boolean {
    return this.#end[0] !== NONE;
  }

  /** Whether it is its link-local address. */
  isRouter(words: Int32Array): boolean {
    return this.#found !== NOT_FOUND && isSameAddress(this.#address, words);
  }

  /** Whether it is one of its addresses. */
  isItsAddress(words: Int32Array): boolean {
    if (this.isRouter(words)) return true;
    for (const host of this.#hosts) if (isSameAddress(host, words)) return true;
    return false;
  }

  /** Whether this is its known MAC. */
  isItsMac(high: number, low: number): boolean {
    return this.#macHigh !== UNKNOWN && this.#macHigh === high && this.#macLow === low;
  }

  /** Whether an address may be one of the VM's (docs/guard-ipv6.md, Addresses). */
  mayBeVms(words: Int32Array): boolean {
    if (isInLinkLocalPrefix(words)) return !hasNoInterface(words) && !this.isItsAddress(words);
    const { address } = this.#settings;
    if (address !== undefined) return false;
    const given = this.#given !== undefined && this.#given[0] === words[0] && this.#given[1] === words[1];
    if (!given && !this.#prefixes.isForAddresses(words[0]!, words[1]!)) return false;
    return !hasNoInterface(words) && !this.isItsAddress(words);
  }

  /** Whether an advertisement of good form from these addresses is the router's, or makes its sender the router. */
  accepts(source: Int32Array, high: number, low: number): boolean {
    if (this.#found === NOT_FOUND) return true;
    if (this.#found === CONFIGURED) {
      return this.isRouter(source) && (this.#macHigh === UNKNOWN || this.isItsMac(high, low));
    }
    if (this.isRouter(source) && this.isItsMac(high, low)) return true;
    return this.#found === FIRST && this.#isGateway(high, low);
  }

  #isGateway(high: number, low: number): boolean {
    return high * 0x100000000 + (low >>> 0) === this.#gatewayMac();
  }

  /**
   * An accepted advertisement passes. Returns whether what policy knows of the network is another now. `lifetime`: of the
   * router, in seconds.
   */
  learn(
    source: Int32Array,
    high: number,
    low: number,
    lifetime: number,
    message: NdMessage,
    bytes: Uint8Array,
    now: number,
  ): boolean {
    let changed = this.#follow(source, high, low);
    this.#end[0] = now + Math.max(lifetime * 1_000_000, LEAST_LIFE);
    for (let at = message.options; at < message.end; at += bytes[at + 1]! * 8) {
      if (this.#learnOption(bytes, at, now)) changed = true;
    }
    return changed;
  }

  #follow(source: Int32Array, high: number, low: number): boolean {
    const same = this.isRouter(source) && this.isItsMac(high, low);
    let changed = false;
    if (this.#found !== CONFIGURED) {
      if (!same) changed = this.#forgetTaught() || !this.isRouter(source);
      this.#address.set(source);
      if (!same || this.#isGateway(high, low)) this.#found = this.#isGateway(high, low) ? GATEWAY : FIRST;
    }
    this.#macHigh = high;
    this.#macLow = low;
    return changed;
  }

  #learnOption(bytes: Uint8Array, at: number, now: number): boolean {
    switch (bytes[at]) {
      case OPTION_PREFIX: {
        const prefix = readPrefix(bytes, at);
        if (
          prefix === undefined ||
          !(prefix.onLink || prefix.autonomous) ||
          isMulticast(prefix.address) ||
          isLinkLocalAddress(prefix.address)
        ) {
          return false;
        }
        return this.#prefixes.learn(prefix, now);
      }
      case OPTION_DNS_SERVERS: {
        const said = readDnsServers(bytes, at);
        if (said === undefined) return false;
        let changed = false;
        for (const address of said.addresses) {
          if (address === 0n || isMulticast(address)) continue;
          if (this.#dns.learn({ address, length: 128, lifetime: said.lifetime }, now)) changed = true;
        }
        return changed;
      }
      case OPTION_PREF64: {
        const prefix = readNat64Prefix(bytes, at);
        return prefix !== undefined && this.#nat64.learn(prefix, now);
      }
      default:
        return false;
    }
  }

  /** Ends what is over; returns whether what policy knows of the network is another now. */
  advance(now: number): boolean {
    let changed = false;
    if (this.advertises && now >= this.#end[0]!) changed = this.#endRouter();
    // Each of them, whatever the ones before say.
    if (this.#prefixes.advance(now)) changed = true;
    if (this.#nat64.advance(now)) changed = true;
    return this.#dns.advance(now) || changed;
  }

  #endRouter(): boolean {
    this.#end[0] = NONE;
    const taught = this.#forgetTaught();
    if (this.#found === CONFIGURED) {
      this.#configureMac();
      return taught;
    }
    this.#found = NOT_FOUND;
    this.#macHigh = UNKNOWN;
    return true;
  }

  #forgetTaught(): boolean {
    const prefixes = this.#prefixes.clear();
    const nat64 = this.#nat64.clear();
    return this.#dns.clear() || prefixes || nat64;
  }

  /** When `advance` has something to do, microseconds; Infinity = never. */
  get deadline(): number {
    const end = this.advertises ? this.#end[0]! : NEVER;
    return Math.min(end, this.#prefixes.deadline, this.#nat64.deadline, this.#dns.deadline);
  }

  /** What policy asks about the network; `dnsServers`: those of DHCPv6. */
  knownNetwork(dnsServers: readonly bigint[]): KnownNetwork6 {
    const { prefix, hostAddresses } = this.#settings;
    const { address } = this;
    const onLink = this.#prefixes.items.filter((item) => item.onLink).map(cidrOf);
    return {
      routers: [...(address === 0n ? [] : [address]), ...hostAddresses],
      dnsServers: [...new Set([...this.#dns.items.map((item) => item.address), ...dnsServers])],
      onLink: prefix === undefined ? onLink : [...onLink, { address: prefix, length: 64 }],
      nat64: this.#nat64.items.map(cidrOf),
    };
  }

  /** The same for people, with ends; `dnsServers`: those of DHCPv6. */
  learnedNetwork(dnsServers: readonly bigint[]): LearnedNetwork6 {
    return {
      router: this.#learnedRouter(),
      prefixes: this.#learnedPrefixes(),
      nat64: this.#nat64.items.map(({ end, ...item }) => ({ ...cidrOf(item), end })),
      dnsServers: [
        ...this.#dns.items.map(({ address, end }) => ({ address, from: "router" as const, end })),
        ...dnsServers.map((address) => ({ address, from: "dhcpv6" as const, end: NEVER })),
      ],
    };
  }

  #learnedRouter(): LearnedRouter6 | undefined {
    const { address } = this;
    if (address === 0n) return undefined;
    const mac = this.#macHigh === UNKNOWN ? UNKNOWN_MAC : this.#macHigh * 0x100000000 + (this.#macLow >>> 0);
    return { address, mac, end: this.advertises ? this.#end[0]! : NEVER };
  }

  #learnedPrefixes(): LearnedPrefix6[] {
    const { prefix } = this.#settings;
    const advertised = this.#prefixes.items.map(({ onLink, autonomous, end, ...item }) => {
      return { ...cidrOf(item), onLink, autonomous, end };
    });
    if (prefix === undefined) return advertised;
    const given = { address: prefix, length: 64, onLink: true, autonomous: true, end: NEVER };
    return [given, ...advertised.filter(({ address, length }) => address !== prefix || length !== 64)];
  }
}

function cidrOf({ address, length }: { readonly address: bigint; readonly length: number }): {
  readonly address: bigint;
  readonly length: number;
} {
  return { address, length };
}
