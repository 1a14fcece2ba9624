/** A guest's IPv6: the kernel's own, with addresses by SLAAC out of what the router advertises. */

import type { Endpoint6 } from "../wire/frame-6.ts";
import { formatIPv6 } from "../wire/ipv6-address.ts";
import type { Guest } from "./guest.ts";
import { linkLocalOf, mac, ROUTER6 } from "./plan.ts";
import { within } from "./poll.ts";

/** Milliseconds; duplicate address detection alone takes one second (RFC 4862 5.4). */
const TIMEOUT = 15_000;

interface Route {
  readonly gateway?: string;
  readonly nexthops?: readonly { readonly gateway?: string }[];
}

interface Link {
  readonly addr_info?: readonly { readonly local?: string; readonly scope?: string; readonly tentative?: boolean }[];
}

/** Card and link-local address. */
export function endpointOf(guest: Guest): Endpoint6 {
  return { mac: mac(guest.mac), address: linkLocalOf(guest.mac) };
}

/** The addresses of its default routers. */
export function routersOf({ namespace }: Guest): readonly string[] {
  const routes: Route[] = JSON.parse(namespace.ip("-json", "-6", "route", "show", "default") || "[]");
  return routes
    .flatMap(({ gateway, nexthops = [] }) => [gateway, ...nexthops.map((hop) => hop.gateway)])
    .filter(isThere);
}

function isThere(text: string | undefined): text is string {
  return text !== undefined;
}

/** Waits until it has an address of the advertised prefix, and the true router. */
export async function awaitIPv6(guest: Guest): Promise<void> {
  const isReady = () => hasAddresses(guest) && routersOf(guest).includes(ROUTER6);
  if (!(await within(TIMEOUT, isReady))) throw new Error(`${guest.name} got no IPv6 address`);
}

function hasAddresses({ namespace, link }: Guest): boolean {
  const links: Link[] = JSON.parse(namespace.ip("-json", "-6", "address", "show", "dev", link));
  const valid = links.flatMap(({ addr_info = [] }) => addr_info).filter(({ tentative }) => tentative !== true);
  return valid.some(({ scope }) => scope === "global") && valid.some(({ scope }) => scope === "link");
}

/** Removes what attacks made it believe: other routers, and where the true one is. */
export async function restoreIPv6(guest: Guest): Promise<void> {
  guest.namespace.ip("-6", "route", "flush", "proto", "ra");
  guest.namespace.ip("-6", "neighbour", "flush", "dev", guest.link);
  await awaitIPv6(guest);
}

export function isRouter(guest: Guest, router: bigint): boolean {
  return routersOf(guest).includes(formatIPv6(router));
}
