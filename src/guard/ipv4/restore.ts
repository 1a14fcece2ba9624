/**
 * An address of before: when softnet is started again under a running VM, the VM goes on with the address that it has
 * (threat row D28). What was kept is judged like the ACK that it once was, because the options may have changed since.
 */
import { subnetOf } from "../../policy/rule.ts";
import { isHostAddress } from "../../wire/address.ts";
import { MOST_DNS_SERVERS } from "../../wire/dhcp.ts";
import type { RestoredAddress } from "../types.ts";
import { isAssignable, mayBeRouter } from "./assignable.ts";
import type { DhcpState } from "./dhcp-state.ts";

/** Takes the address, if an ACK could have made it here; returns whether it did. The lease is as it was made. */
export function restore(state: DhcpState, kept: RestoredAddress): boolean {
  const { lease, trustedServer, gateway, subnet } = state;
  const { address, server, expiry, netmask, router } = kept;
  if (lease.isStatic || !(expiry > 0)) return false;
  if (!isHostAddress(server) || (trustedServer !== 0 && server !== trustedServer)) return false;
  if (!isAssignable(address, gateway.address, subnet, { serverIdentifier: server, router, netmask })) return false;
  lease.restore({
    ...kept,
    router: mayBeRouter(router, subnet ?? subnetOf(address, netmask)) ? router : 0,
    dnsServers: kept.dnsServers.slice(0, MOST_DNS_SERVERS).filter(isHostAddress),
  });
  return true;
}
