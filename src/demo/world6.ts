/**
 * What the demo's machines have of IPv6: the host is the router of the guests' prefix and advertises it, has a DHCPv6 server
 * for those who ask for a DNS server, and connects them to the Internet. On the bridge only.
 */
import { routerClaim } from "./frames6.ts";
import type { Machine } from "./machine.ts";
import type { Namespace } from "./namespace.ts";
import * as plan from "./plan.ts";

const CONF = "net/ipv6/conf";

/** Addresses by SLAAC alone, found within two seconds. A machine that took redirects would soon pass Mallory by. */
export const GUEST6 = {
  [`${CONF}/all/disable_ipv6`]: "0",
  [`${CONF}/default/disable_ipv6`]: "0",
  [`${CONF}/default/forwarding`]: "0",
  [`${CONF}/default/accept_ra`]: "1",
  [`${CONF}/default/autoconf`]: "1",
  [`${CONF}/default/use_tempaddr`]: "0",
  [`${CONF}/default/addr_gen_mode`]: "0",
  [`${CONF}/default/accept_redirects`]: "0",
  [`${CONF}/default/router_solicitation_delay`]: "0",
};

/** Of a guest that forwards what she steals, and is a host of the network all the same. */
export const THIEF6 = { ...GUEST6, [`${CONF}/all/forwarding`]: "1", [`${CONF}/default/accept_ra`]: "2" };

export const ROUTER6 = { ...GUEST6, [`${CONF}/all/forwarding`]: "1", [`${CONF}/default/accept_ra`]: "0" };

/** Advertisements a second: so many that what an attack did to a guest is soon undone. */
const ADVERTISEMENTS = 5;
/** Longer than any demo. */
const SECONDS = 3_600;
const LIFETIME = 1_800;
/** Milliseconds until the DHCPv6 server answers, as the IPv4 one does. */
const ANSWER_DELAY = 100;

/** Gives host and Internet their addresses. */
export function joinIPv6(host: Namespace, internet: Namespace): void {
  host.batch([
    `address add ${plan.ROUTER6}/64 dev ${plan.BRIDGE} nodad`,
    `address add ${plan.DNS6}/64 dev ${plan.BRIDGE} nodad`,
    `address add ${plan.UPLINK_HOST6}/64 dev up0 nodad`,
    `route add default via ${plan.UPLINK_INTERNET6} dev up0`,
  ]);
  internet.batch([
    `address add ${plan.UPLINK_INTERNET6}/64 dev up0 nodad`,
    `address add ${plan.INTERNET6}/128 dev lo nodad`,
    `route add default via ${plan.UPLINK_HOST6} dev up0`,
  ]);
}

export async function openServices6(host: Machine, internet: Machine): Promise<void> {
  const self = { mac: plan.mac(plan.GATEWAY_MAC), address: plan.ipv6(plan.ROUTER6) };
  const link = plan.BRIDGE;
  const frames = [routerClaim(self, LIFETIME, plan.ipv6(plan.PREFIX6))];
  await Promise.all([
    host.agent.call("startSending", { link, frames, perSecond: ADVERTISEMENTS, seconds: SECONDS }),
    host.agent.call("startDhcpv6", { link, self, dns: plan.ipv6(plan.DNS6), delay: ANSWER_DELAY }),
    internet.agent.call("serveWeb", { address: plan.INTERNET6, page: "a public page" }),
  ]);
}
