/**
 * The IPv6 half of a network of the VM's own: a /64 that is the VM's alone, softnet's router advertisements in front of the
 * TAP, and the host's kernel behind it as the router fe80::1. Where the host has no IPv6 route the VM gets no IPv6 rather
 * than one that leads nowhere.
 */
import type { HostHelper } from "../../host/client.ts";
import { ROUTER6 } from "../../host/host-ipv6.ts";
import { formatPrefix, PREFIX_LENGTH, parsePrefix, prefixOf, routerOf } from "../../host/prefix.ts";
import type { LinkChanges } from "../../native/linux/link-changes.ts";
import type { Place6 } from "../../policy/reachable6.ts";
import { UserError } from "../../user-error.ts";
import { IPV6_LEAST_MTU } from "../../wire/ipv6.ts";
import { formatIPv6 } from "../../wire/ipv6-address.ts";
import type { Network } from "../network.ts";
import { Advertiser } from "./advertiser.ts";

export const NO_IPV6_HERE = "this host's kernel has no IPv6: the VM gets none";
const NO_ROUTE = "this host has no IPv6 default route: the VM gets no IPv6 until it has one";
const ROUTE_IS_THERE = "this host has an IPv6 default route: the VM gets IPv6";

export interface NatIPv6Options {
  /** As the helper gave it, `X:X:X:X::/64`. */
  readonly prefix: string;
  readonly routerMac: number;
  readonly vmMac: number;
  readonly mtu: number;
  /** False on a network of type host. */
  readonly routes: boolean;
  readonly dnsServers: readonly bigint[];
}

/** Throws UserError where packets of IPv6's least size do not fit (RFC 8200 5). */
export function checkMtu(mtu: number): void {
  if (mtu < IPV6_LEAST_MTU) {
    throw new UserError(`--mtu ${mtu}: IPv6 needs ${IPV6_LEAST_MTU} or more; give a larger one, or leave --ipv6 out`);
  }
}

export class NatIPv6 {
  readonly advertiser: Advertiser;
  /** What is wrong at present, for people. */
  notices: readonly string[] = [];
  /** The first address of the VM's /64. */
  readonly prefix: bigint;
  readonly #helper: HostHelper;
  readonly #routes: boolean;
  #address: bigint | undefined;
  #hasRoute: boolean | undefined;
  #isClosed = false;

  constructor(helper: HostHelper, options: NatIPv6Options) {
    const prefix = parsePrefix(options.prefix);
    if (prefix === undefined) throw new UserError("the host's helper is of another version: end all softnets first");
    this.prefix = prefix;
    this.#helper = helper;
    this.#routes = options.routes;
    this.advertiser = new Advertiser({ ...options, prefix, router: ROUTER6 });
  }

  /** The router's addresses, on the host. */
  get routers(): readonly bigint[] {
    return [routerOf(this.prefix), ROUTER6];
  }

  /** For what policy says of it (policy/reachable6.ts). */
  get place(): Omit<Place6, "dnsServers"> {
    return { routers: this.routers, prefix: this.prefix };
  }

  /** Gives the TAP its addresses. */
  addAddresses(links: LinkChanges, index: number): void {
    for (const address of this.routers) links.addIPv6Address(index, address, PREFIX_LENGTH);
  }

  /**
   * The host has a default route, or has none; `closed`: another firewall drops what the VM would send there, or did so when
   * that was known last. Returns what to tell a person, if anything: of firewalls that is told elsewhere.
   */
  follow({ present, closed = this.#isClosed }: { present: boolean; closed?: boolean }): string | undefined {
    const before = this.#hasRoute;
    this.#hasRoute = present;
    this.#isClosed = closed;
    this.advertiser.hasRoute = present && !closed;
    if (!this.#routes) return undefined;
    this.notices = present ? [] : [NO_ROUTE];
    return before === false && present && !closed ? ROUTE_IS_THERE : undefined;
  }

  /** Another firewall drops the VM's IPv6 from the beginning. */
  close(): void {
    this.#isClosed = true;
  }

  /**
   * The VM has these IPv6 addresses: exposed ports lead to the one that they led to before, else to that of its MAC address, else
   * to the first, which is the one that is there for longest.
   */
  readonly followAddresses = (addresses: readonly bigint[]): void => {
    const own = addresses.filter((address) => prefixOf(address) === this.prefix);
    if (this.#address !== undefined && own.includes(this.#address)) return;
    const address = own.find(isOfMac) ?? own[0];
    if (address === this.#address) return;
    this.#address = address;
    this.#helper.followAddress6(address);
  };

  /** What the guard should know. */
  get known(): Pick<Network, "router6" | "prefix6" | "hostAddresses6" | "followAddresses6"> {
    return {
      router6: formatIPv6(ROUTER6),
      prefix6: formatPrefix(this.prefix),
      hostAddresses6: [formatIPv6(routerOf(this.prefix))],
      followAddresses6: this.followAddresses,
    };
  }
}

/** Made of a MAC address (RFC 4291 appendix A): it does not change as temporary ones do. */
function isOfMac(address: bigint): boolean {
  return ((address >> 24n) & 0xffffn) === 0xfffen;
}
