/** What a lease may say: which addresses a VM can have at all, and which router it can have with them. */
import { type Cidr, covers, lastOf, subnetOf } from "../../policy/rule.ts";
import { METADATA_ADDRESSES } from "../../policy/special-purpose.ts";
import { isHostAddress } from "../../wire/address.ts";

/** What comes along with an address; 0 = missing. */
export interface Told {
  /** Option 54. */
  readonly serverIdentifier: number;
  /** The router of the default route. */
  readonly router: number;
  /** The first of option 3, where that may be another one. */
  readonly firstRouter?: number;
  /** Option 1. */
  readonly netmask: number;
}

/** Addresses that no VM may get (threat row D26). `subnet`: the network's own, where it knows it. */
export function isAssignable(address: number, gateway: number, subnet: Cidr | undefined, told: Told): boolean {
  if (!isHostAddress(address)) return false;
  if (address === gateway || address === told.router || address === told.firstRouter) return false;
  if (address === told.serverIdentifier) return false;
  if (subnet && !covers(subnet, address)) return false;
  return !isEdge(subnet, address) && !isEdge(subnetOf(address, told.netmask), address);
}

/**
 * Whether a router that DHCP names can be it. A gateway is open to the VM, so an ally who can answer DHCP must not make it
 * any private or metadata address (threat rows I6, I7): it lies in the VM's subnet, unless the subnet has no room for it
 * (a netmask of 31 or 32 bits, as some clouds hand out).
 */
export function mayBeRouter(router: number, subnet: Cidr | undefined): boolean {
  if (!isHostAddress(router) || METADATA_ADDRESSES.some(({ address }) => address === router)) return false;
  return !subnet || subnet.length > 30 || covers(subnet, router);
}

/** The first and the last address of a subnet are the network's and the broadcast address, unless it has only one or two. */
function isEdge(subnet: Cidr | undefined, address: number): boolean {
  return subnet !== undefined && subnet.length <= 30 && (address === subnet.address || address === lastOf(subnet));
}
