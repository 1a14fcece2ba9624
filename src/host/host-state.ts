/** Which addresses and routes this host has: routes of all tables, since a VPN's may be in one of its own. */
import { type HostAddress, type HostRoute, listAddresses, listRoutes } from "../native/linux/host-network.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { type Cidr, netmaskOf } from "../policy/rule.ts";
import type { HostState } from "./subnet.ts";

/** What the kernel lists of a host. */
export interface Listing {
  readonly addresses: readonly HostAddress[];
  readonly routes: readonly HostRoute[];
}

/** Lists the host's addresses and routes. Throws Error when the kernel refuses. */
export function listHost(libc: LinuxLibc): Listing {
  return { addresses: listAddresses(libc), routes: listRoutes(libc) };
}

/** Pure: the state of a listed host, without that of some links. */
export function stateOf({ addresses, routes }: Listing, isLeftOut: (link: string) => boolean = () => false): HostState {
  return {
    networks: networksOf(addresses.filter(({ link }) => !isLeftOut(link))),
    routes: routes
      .filter(({ link }) => !isLeftOut(link))
      .map(({ destination, prefixLength }) => prefixOf(destination, prefixLength)),
  };
}

/** Reads the host's addresses and routes, but for those of some links. Throws Error when the kernel refuses. */
export function readHostState(libc: LinuxLibc, isLeftOut?: (link: string) => boolean): HostState {
  return stateOf(listHost(libc), isLeftOut);
}

/** Pure: an address without a peer's is the network of its prefix; with one, both count. */
export function networksOf(addresses: readonly HostAddress[]): Cidr[] {
  return addresses.flatMap(({ address, peer, prefixLength }) => {
    const network = prefixOf(peer, prefixLength);
    return peer === address ? [network] : [prefixOf(address, 32), network];
  });
}

/** The link of the host's first default route; empty where there is none. Throws Error when the kernel refuses. */
export function uplinkOf(libc: LinuxLibc): string {
  const isDefault = ({ link, prefixLength, isMain }: HostRoute): boolean => isMain && prefixLength === 0 && link !== "";
  return listRoutes(libc).find(isDefault)?.link ?? "";
}

function prefixOf(address: number, length: number): Cidr {
  return { address: (address & netmaskOf(length)) >>> 0, length };
}
