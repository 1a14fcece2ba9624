/**
 * What the host does for VMs with IPv6, beside the table: each has a /64 of its own, with the host as its router at fe80::1
 * and at the prefix's first address on the TAP; forwarding; and whether IPv6 leads anywhere from here.
 */
import { randomBytes } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { type HostRoute6, listAddresses6, listRoutes6 } from "../native/linux/host-network6.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { changeLinks } from "../native/linux/link-changes.ts";
import { IPv6Forwarding, type IPv6ForwardingTools } from "./ipv6-forwarding.ts";
import { choosePrefix, isOwnPrefix, PREFIX_LENGTH, parsePrefix, prefixOf, routerOf } from "./prefix.ts";

/** The router's link-local address: the same for every VM and for ever, so that a softnet started again is the same router. */
export const ROUTER6 = 0xfe800000000000000000000000000001n;

/** softnet's TAPs. */
const OWN = "softnet";
/** 2000::/3, all global unicast addresses there are (RFC 4291 2.4): a route that covers it leads to the internet. */
const GLOBAL = 0x2000n << 112n;
const GLOBAL_LENGTH = 3;

export interface HostIPv6Tools extends IPv6ForwardingTools {
  readonly libc: LinuxLibc;
  /** Calls back when IPv6 addresses, routes or settings of the host change. Called once, when a VM first needs it. */
  readonly watch: (onChange: () => void) => void;
  readonly onChange: () => void;
}

export class HostIPv6 {
  readonly #tools: HostIPv6Tools;
  readonly #forwarding: IPv6Forwarding;
  /** By TAP: the first address of the VM's /64. */
  readonly #prefixes = new Map<string, bigint>();
  #watched = false;

  constructor(tools: HostIPv6Tools) {
    this.#tools = tools;
    this.#forwarding = new IPv6Forwarding(tools);
  }

  /**
   * Chooses a prefix; `reserved`: those of VMs that have none of their TAPs yet; `preferred`: as text. Undefined where the kernel
   * has no IPv6. Throws Error when nothing is free.
   */
  choosePrefix(reserved: readonly bigint[], preferred: string | undefined): bigint | undefined {
    if (!existsSync("/proc/sys/net/ipv6")) return undefined;
    const isOwn = ({ link }: { readonly link: string }): boolean => link.startsWith(OWN);
    const addresses = listAddresses6(this.#tools.libc);
    const routes = listRoutes6(this.#tools.libc).filter((route) => !isOwn(route));
    const prefixes = addresses.filter(isOwn).map(({ address }) => prefixOf(address));
    const others = [
      ...addresses.filter((one) => !isOwn(one)).map(({ address, prefixLength }) => ({ address, length: prefixLength })),
      ...routes.map(({ destination, prefixLength }) => ({ address: destination, length: prefixLength })),
    ];
    const taken = [...reserved, ...prefixes.filter(isOwnPrefix)];
    const before = preferred === undefined ? undefined : parsePrefix(preferred);
    return choosePrefix({ taken, others }, before, randomBits);
  }

  /** A VM's TAP has its addresses; `routes`: not on a network that leads to the host only. Throws Error. */
  open(tap: string, prefix: bigint, routes: boolean): void {
    if (!this.#watched) this.#tools.watch(this.#tools.onChange);
    this.#watched = true;
    this.#prefixes.set(tap, prefix);
    if (routes) this.#forwarding.open(tap);
  }

  /** Its TAP is gone. Throws Error. */
  close(tap: string): void {
    if (this.#prefixes.delete(tap)) this.#forwarding.close(tap);
  }

  /** Whether the host has a route to global addresses but through softnet's own interfaces. */
  get hasRoute(): boolean {
    return uplink6Of(this.#tools.libc) !== undefined;
  }

  /** Makes forwarding as it should be. Throws Error. */
  refresh(): void {
    this.#forwarding.refresh();
  }

  recordLost(): void {
    this.#forwarding.recordLost();
  }

  /** Gives a TAP its addresses again; returns whether one was gone and is there now. */
  restoreAddresses(tap: string): boolean {
    const { libc } = this.#tools;
    const prefix = this.#prefixes.get(tap);
    const index = libc.if_nametoindex(tap);
    if (prefix === undefined || index === 0) return false;
    const present = listAddresses6(libc).flatMap(({ link, address }) => (link === tap ? address : []));
    const missing = [ROUTER6, routerOf(prefix)].filter((address) => !present.includes(address));
    try {
      if (missing.length > 0) writeFileSync(`/proc/sys/net/ipv6/conf/${tap}/disable_ipv6`, "0");
      changeLinks(libc, (links) => {
        for (const address of missing) links.addIPv6Address(index, address, PREFIX_LENGTH);
      });
      return missing.length > 0;
    } catch {
      return false;
    }
  }
}

/** The link of the host's first route to global addresses but through softnet's own interfaces. Throws Error when the kernel refuses. */
export function uplink6Of(libc: LinuxLibc): string | undefined {
  return listRoutes6(libc).find((route) => !route.link.startsWith(OWN) && leadsOut(route))?.link;
}

/** Pure. */
export function leadsOut({ destination, prefixLength }: HostRoute6): boolean {
  return (
    prefixLength <= GLOBAL_LENGTH && destination >> BigInt(128 - prefixLength) === GLOBAL >> BigInt(128 - prefixLength)
  );
}

function randomBits(bits: number): bigint {
  return BigInt.asUintN(bits, BigInt(`0x${randomBytes(Math.ceil(bits / 8)).toString("hex")}`));
}
