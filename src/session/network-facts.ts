/** What a network knows about itself that the guard should know too. */
import type { GuardOptions } from "../guard/types.ts";
import type { Network } from "../networks/network.ts";
import { parseCidr } from "../policy/rule.ts";
import { UserError } from "../user-error.ts";
import { formatIPv4, parseIPv4 } from "../wire/address.ts";
import { parseIPv6 } from "../wire/ipv6-address.ts";
import { vmAddresses } from "./vm-addresses.ts";

/** The guard's options that the network knows and the user did not give. */
export function knownToNetwork(network: Network): Partial<GuardOptions> {
  return {
    ...(network.gateway !== undefined && { gateway: network.gateway }),
    ...(network.gatewayMac !== undefined && { gatewayMacAddress: network.gatewayMac }),
    ...(network.dhcpServer !== undefined && { dhcpServer: network.dhcpServer }),
    ...(network.serves && { origin: "served" as const }),
    ...(network.subnet !== undefined && { subnet: network.subnet }),
    ...(network.exposedPorts !== undefined && { exposedPorts: network.exposedPorts }),
    ...(network.router6 !== undefined && { router6: network.router6 }),
    ...(network.router6 !== undefined && network.gatewayMac !== undefined && { router6MacAddress: network.gatewayMac }),
    ...(network.prefix6 !== undefined && { prefix6: network.prefix6 }),
    ...(network.hostAddresses6 !== undefined && { hostAddresses6: network.hostAddresses6 }),
  };
}

/** A network of softnet's own has addresses for the VM and a router; others would leave it without any. Throws UserError. */
export function refuseForeignAddress(
  { serves, subnet, label, router6, prefix6 }: Network,
  given: { readonly vmIpAddress?: string; readonly router6?: string },
): void {
  const { ipv4, ipv6 } = vmAddresses(given);
  const own = serves && subnet !== undefined ? parseCidr(subnet) : undefined;
  if (own !== undefined && ipv4 !== undefined) {
    const address = own.address + 2; // the gateway has the first one
    if (parseIPv4(ipv4) !== address) {
      throw new UserError(
        `--vm-ip-address ${ipv4}: the VM's address in ${label} is ${formatIPv4(address)}; leave it out, or choose with --subnet`,
      );
    }
  }
  if (own !== undefined && ipv6 !== undefined) {
    throw new UserError(
      `--vm-ip-address ${ipv6}: in ${label} the VM makes its own addresses out of ${prefix6 ?? "no prefix"}; leave it out`,
    );
  }
  if (router6 !== undefined && given.router6 !== undefined && parseIPv6(given.router6) !== parseIPv6(router6)) {
    throw new UserError(`--router6 ${given.router6}: the router in ${label} is ${router6}; leave it out`);
  }
}
