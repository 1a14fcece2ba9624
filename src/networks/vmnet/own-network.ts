/**
 * A network of softnet's own in vmnet (macOS 26): a /30 that nothing else uses, without DHCP of vmnet's, with the VM's
 * address reserved and its ports forwarded. All of that is said before the network exists, since vmnet takes it only then.
 *
 * vmnet refuses a subnet that overlaps another one of its networks, so of softnets that start at the same moment one gets
 * it, and the others try the next.
 *
 * Which subnet the network has in the end is vmnet's to say: it is read back.
 */

import { SUBNET_LENGTH } from "../../host/subnet.ts";
import type { CoreFoundation } from "../../native/darwin/corefoundation.ts";
import { AF_INET } from "../../native/darwin/libc.ts";
import {
  IPPROTO_TCP,
  VMNET_FAILURE,
  VMNET_INVALID_ARGUMENT,
  VMNET_SHARED_MODE,
  VMNET_SHARING_SERVICE_BUSY,
  VMNET_SUCCESS,
  type VmnetNetworks,
} from "../../native/darwin/vmnet.ts";
import { type Cidr, formatCidr, netmaskOf, subnetOf } from "../../policy/rule.ts";
import { UserError } from "../../user-error.ts";
import { putMac } from "../../wire/address.ts";
import { get32, put32 } from "../../wire/bytes.ts";
import type { Exposure } from "../exposures.ts";
import { VmnetError } from "./vmnet-error.ts";

/** Subnets that are tried, each time. */
const MOST_TRIES = 8;
/** What vmnet may say of a subnet that overlaps another network's. Its header does not tell which it is. */
const MAYBE_TAKEN: ReadonlySet<number> = new Set([VMNET_FAILURE, VMNET_INVALID_ARGUMENT, VMNET_SHARING_SERVICE_BUSY]);

export interface OwnNetworkOptions {
  /** Subnets to try, in this order. */
  readonly subnets: Iterable<Cidr>;
  readonly vmMac: number;
  readonly exposures: readonly Exposure[];
}

export interface OwnNetwork {
  /** The network's address, to be released once an interface was started on it. */
  readonly network: number;
  /** As vmnet says. */
  readonly subnet: Cidr;
}

/** Makes the network. Throws VmnetError of the last try, UserError when no subnet is free. */
export function createOwnNetwork(
  networks: VmnetNetworks,
  coreFoundation: CoreFoundation,
  { subnets, vmMac, exposures }: OwnNetworkOptions,
): OwnNetwork {
  let refused: UserError | undefined;
  let tries = 0;
  for (const asked of subnets) {
    try {
      const network = create(networks, coreFoundation, { subnet: asked, vmMac, exposures });
      const subnet = readSubnet(networks, network) ?? asked;
      if (exposures.length === 0 || formatCidr(subnet) === formatCidr(asked)) return { network, subnet };
      coreFoundation.CFRelease(network); // its ports lead to an address of the subnet that was asked for
      refused = new UserError(
        `vmnet made ${formatCidr(subnet)} of the network ${formatCidr(asked)}: leave --expose out, or give another --subnet`,
      );
    } catch (error) {
      if (!(error instanceof VmnetError) || !MAYBE_TAKEN.has(error.status)) throw error;
      refused = error;
    }
    if (++tries === MOST_TRIES) break;
  }
  throw refused ?? new UserError("no private /30 is free: this Mac's networks cover all of RFC 1918; give --subnet");
}

/** What vmnet says that the network has; undefined where it says nothing that could be. */
function readSubnet(networks: VmnetNetworks, network: number): Cidr | undefined {
  const [address, mask] = [new Uint8Array(4), new Uint8Array(4)];
  networks.vmnet_network_get_ipv4_subnet(network, address, mask);
  const subnet = subnetOf(get32(address, 0), get32(mask, 0));
  return subnet !== undefined && subnet.length >= 8 && subnet.length <= SUBNET_LENGTH ? subnet : undefined;
}

/** What one network is made from. */
interface Plan {
  readonly subnet: Cidr;
  readonly vmMac: number;
  readonly exposures: readonly Exposure[];
}

function create(networks: VmnetNetworks, { CFRelease }: CoreFoundation, plan: Plan): number {
  const ports = plan.exposures.map(({ external }) => external).join(", ");
  const what = `network ${formatCidr(plan.subnet)}${ports && ` with the exposed ports ${ports}`} cannot be made`;
  const status = Uint32Array.of(VMNET_SUCCESS);
  const configuration = networks.vmnet_network_configuration_create(VMNET_SHARED_MODE, status);
  if (configuration === 0) throw new VmnetError(what, failureOf(status));
  try {
    configure(networks, configuration, plan, (asked) => {
      if (asked !== VMNET_SUCCESS) throw new VmnetError(what, asked);
    });
    const network = networks.vmnet_network_create(configuration, status);
    if (network === 0) throw new VmnetError(what, failureOf(status));
    return network;
  } finally {
    CFRelease(configuration);
  }
}

function configure(
  networks: VmnetNetworks,
  configuration: number,
  { subnet, vmMac, exposures }: Plan,
  must: (status: number) => void,
): void {
  const address = word(subnet.address + 2);
  const mac = new Uint8Array(6);
  putMac(mac, 0, vmMac);
  const setSubnet = (from: number): number =>
    networks.vmnet_network_configuration_set_ipv4_subnet(configuration, word(from), word(netmaskOf(subnet.length)));
  // The gateway, not the subnet's first address: else vmnet misses some overlaps. Newer systems may want that address.
  const status = setSubnet(subnet.address + 1);
  must(status === VMNET_INVALID_ARGUMENT ? setSubnet(subnet.address) : status);
  networks.vmnet_network_configuration_disable_dhcp(configuration);
  must(networks.vmnet_network_configuration_add_dhcp_reservation(configuration, mac, address));
  for (const { external, internal } of exposures) {
    must(
      networks.vmnet_network_configuration_add_port_forwarding_rule(
        configuration,
        IPPROTO_TCP,
        AF_INET,
        internal,
        external,
        address,
      ),
    );
  }
}

/** A failure that says success would be none. */
function failureOf(status: Uint32Array): number {
  return status[0] === VMNET_SUCCESS ? VMNET_FAILURE : status[0];
}

/** An address as struct in_addr: 4 bytes in network order. */
function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  put32(bytes, 0, value);
  return bytes;
}
