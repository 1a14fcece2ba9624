/** Which addresses and routes this host has, as iproute2 lists them: all tables, since a VPN's routes have one of its own. */
import { type Cidr, parseCidr } from "../policy/rule.ts";
import { ipJson } from "./iproute2.ts";
import type { HostState } from "./subnet.ts";

interface Address {
  readonly ifname?: string;
  readonly addr_info?: readonly { readonly local?: string; readonly address?: string; readonly prefixlen?: number }[];
}

interface Route {
  readonly dst?: string;
  readonly dev?: string;
}

/** What `ip` lists of a host. */
export interface Listing {
  readonly addresses: readonly Address[];
  readonly routes: readonly Route[];
}

/** Lists the host's addresses and routes. Throws UserError when `ip` fails. */
export function listHost(ip: string): Listing {
  return {
    addresses: ipJson<Address>(ip, ["-4", "address", "show"]),
    routes: ipJson<Route>(ip, ["-4", "route", "show", "table", "all"]),
  };
}

/** Pure: the state of a listed host, without that of some links. */
export function stateOf({ addresses, routes }: Listing, isLeftOut: (link: string) => boolean = () => false): HostState {
  return {
    networks: networksOf(addresses.filter(({ ifname = "" }) => !isLeftOut(ifname))),
    routes: routesOf(routes.filter(({ dev = "" }) => !isLeftOut(dev))),
  };
}

/** Reads the host's addresses and routes, but for those of some links. Throws UserError when `ip` fails. */
export function readHostState(ip: string, isLeftOut?: (link: string) => boolean): HostState {
  return stateOf(listHost(ip), isLeftOut);
}

/** Pure: an address without its peer's is the network of its prefix; with it, both count (`address`: the peer). */
export function networksOf(addresses: readonly Address[]): Cidr[] {
  const infos = addresses.flatMap((link) => link.addr_info ?? []);
  return infos.flatMap(({ local, address, prefixlen = 32 }) => {
    const own = parseCidr(`${local}/${address === undefined ? prefixlen : 32}`);
    const peer = address === undefined ? undefined : parseCidr(`${address}/${prefixlen}`);
    return [own, peer].filter((cidr) => cidr !== undefined);
  });
}

/** Pure: what routes lead to; a default route leads to 0.0.0.0/0. */
export function routesOf(routes: readonly Route[]): Cidr[] {
  return routes.flatMap(({ dst = "default" }) => {
    const text = dst === "default" ? "0.0.0.0/0" : dst.includes("/") ? dst : `${dst}/32`;
    return parseCidr(text) ?? [];
  });
}

/** The link of the host's first default route; empty where there is none. Throws UserError when `ip` fails. */
export function uplinkOf(ip: string): string {
  return ipJson<Route>(ip, ["-4", "route", "show", "default"]).find(({ dev }) => dev !== undefined)?.dev ?? "";
}
