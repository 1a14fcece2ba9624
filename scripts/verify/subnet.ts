/**
 * Which subnet vmnet makes of an address and a mask (macOS 26): once of the subnet's first address, once of the one behind
 * it, which is the gateway's. softnet gives the gateway's, and the other one where vmnet refuses that.
 */

import { candidates, type HostState } from "../../src/host/subnet.ts";
import type { CoreFoundation } from "../../src/native/darwin/corefoundation.ts";
import { VMNET_SHARED_MODE, VMNET_SUCCESS, type VmnetNetworks } from "../../src/native/darwin/vmnet.ts";
import { describeStatus } from "../../src/native/darwin/vmnet-status.ts";
import type { VmnetNative } from "../../src/networks/vmnet/native.ts";
import { type Cidr, formatCidr, netmaskOf, prefixLengthOf } from "../../src/policy/cidr.ts";
import { formatIPv4 } from "../../src/wire/address.ts";
import { get32, put32 } from "../../src/wire/bytes.ts";
import { type Finding, failed, leftOut, open, type Point } from "./points.ts";

/** `state`: which addresses and routes the host has. */
export function subnetPoints(
  { vmnet: { networks } }: VmnetNative,
  coreFoundation: () => CoreFoundation,
  state: () => HostState,
): Point[] {
  return [
    {
      name: "vmnet (macOS 26): the subnet that is made of its first address, and of its gateway's",
      run: () =>
        networks === undefined ? leftOut("before macOS 26 there is none") : look(networks, coreFoundation(), state()),
    },
  ];
}

function look(networks: VmnetNetworks, cf: CoreFoundation, state: HostState): Finding {
  const [first] = candidates(state, [], Math.random);
  if (first === undefined) return leftOut("no private /30 is free");
  const { subnet } = first;
  const told = [subnet.address, subnet.address + 1].map((address) => make(networks, cf, subnet, address));
  const details = [
    `of the first address: ${told[0]}`,
    `of the gateway's: ${told[1]}`,
    `${formatCidr(subnet)} was asked for`,
  ].join("\n");
  return told.includes(formatCidr(subnet)) ? open(details) : failed(details);
}

/** What vmnet says of the network: its subnet, or why there is none. */
function make(networks: VmnetNetworks, { CFRelease }: CoreFoundation, { length }: Cidr, address: number): string {
  const status = Uint32Array.of(VMNET_SUCCESS);
  const configuration = networks.vmnet_network_configuration_create(VMNET_SHARED_MODE, status);
  if (configuration === 0) return describeStatus(status[0]!);
  try {
    const set = networks.vmnet_network_configuration_set_ipv4_subnet(
      configuration,
      word(address),
      word(netmaskOf(length)),
    );
    if (set !== VMNET_SUCCESS) return describeStatus(set);
    const network = networks.vmnet_network_create(configuration, status);
    if (network === 0) return describeStatus(status[0]!);
    const [found, mask] = [word(0), word(0)];
    networks.vmnet_network_get_ipv4_subnet(network, found, mask);
    CFRelease(network);
    const size = prefixLengthOf(get32(mask, 0));
    return `${formatIPv4(get32(found, 0))}/${size ?? formatIPv4(get32(mask, 0))}`;
  } finally {
    CFRelease(configuration);
  }
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  put32(bytes, 0, value);
  return bytes;
}
