/**
 * `--vm-net-type private` (macOS 26): a network of the VM's own, a random free private /30 with the gateway and the VM.
 * softnet itself answers the VM's DHCP (networks/dhcp): there is no pool to share or to exhaust, and nothing to snoop.
 * The VM's address is known beforehand, so exposed ports are part of the network.
 *
 * It needs no root where the executable is signed with the entitlement com.apple.security.virtualization.
 */
import { randomBytes } from "node:crypto";
import { candidates, type HostState, overlapOf, parseSubnet, SUBNET_LENGTH } from "../../host/subnet.ts";
import type { CoreFoundation } from "../../native/darwin/corefoundation.ts";
import { type Cidr, covers } from "../../policy/cidr.ts";
import { formatCidr, netmaskOf, parseCidr } from "../../policy/rule.ts";
import { allocateSlab } from "../../ports/slab.ts";
import { UserError } from "../../user-error.ts";
import { formatIPv4, getMac, parseMac } from "../../wire/address.ts";
import { DhcpServer } from "../dhcp/server.ts";
import { ServingPort } from "../dhcp/serving-port.ts";
import { parseExposures } from "../exposures.ts";
import { parseResolvers } from "../nat/resolvers.ts";
import type { Network } from "../network.ts";
import { askGatewayMac } from "./gateway-mac.ts";
import { VmnetInterface } from "./interface.ts";
import { readMacState } from "./mac-state.ts";
import type { VmnetNative } from "./native.ts";
import { createOwnNetwork } from "./own-network.ts";

/** Milliseconds that the gateway may take to say where it is, each of three times. */
const TIMEOUT = 300;

/**
 * What macOS takes for itself later, when the first shared or host-only interface starts: the shared network before macOS 26
 * and from then on, and the host-only one.
 */
const OWN_OF_MACOS: readonly Cidr[] = ["192.168.64.0/24", "192.168.2.0/24", "192.168.128.0/24"].map(
  (text) => parseCidr(text)!,
);

export interface PrivateOptions {
  /** The VM's MAC address. */
  readonly vmMac: string;
  readonly isolated: boolean;
  /** `--subnet`, `--dns` and `--expose`, as the user typed them. */
  readonly subnet?: string;
  readonly dns?: string;
  readonly expose?: string;
  /** What this macOS is, for the error on an older one: `macOS 15.6`. */
  readonly system: string;
  readonly warn: (message: string) => void;
  /** For tests. */
  readonly state?: HostState;
  /** Milliseconds that the gateway may take to answer, three times. For tests. */
  readonly questionTimeout?: number;
}

/** Makes network and interface. Throws UserError; then nothing of them is left. */
export async function openPrivate(
  native: VmnetNative,
  coreFoundation: () => CoreFoundation,
  options: PrivateOptions,
): Promise<Network> {
  const closing = new AsyncDisposableStack();
  try {
    return await open(native, coreFoundation, options, closing);
  } catch (error) {
    await closing.disposeAsync();
    throw error;
  }
}

async function open(
  native: VmnetNative,
  coreFoundation: () => CoreFoundation,
  options: PrivateOptions,
  closing: AsyncDisposableStack,
): Promise<Network> {
  const vmMac = parseMac(options.vmMac) ?? 0;
  const { network, subnet } = makeNetwork(native, coreFoundation, options, closing);
  const label = `private ${formatCidr(subnet)}`;
  const on = { network };
  const vmnet = await VmnetInterface.start(native, { label: `vmnet ${label}`, on, isolated: options.isolated });
  const { mtu, maxPacketSize, gateway: reported = 0 } = vmnet.parameters;
  const slab = closing.adopt(allocateSlab(maxPacketSize), (one) => one.free()); // vmnet is given it: first it is stopped
  closing.defer(async () => {
    const why = await vmnet.stop();
    if (why !== undefined) options.warn(why);
  });
  const gateway = covers(subnet, reported) ? reported : subnet.address + 1;
  const vmAddress = gateway === subnet.address + 2 ? subnet.address + 1 : subnet.address + 2;
  const question = { vmMac, vmAddress, gateway, timeout: options.questionTimeout ?? TIMEOUT };
  const gatewayMac = (await askGatewayMac(vmnet.port, slab.batch, question)) ?? someMac();
  const server = new DhcpServer({
    gateway,
    gatewayMac,
    address: vmAddress,
    netmask: netmaskOf(subnet.length),
    dnsServers: options.dns === undefined ? [gateway] : parseResolvers(options.dns),
    vmMac,
  });
  let closed: Promise<void> | undefined;
  return {
    label,
    identity: label,
    port: new ServingPort(vmnet.port, server),
    gateway: formatIPv4(gateway),
    dhcpServer: formatIPv4(gateway),
    serves: true,
    subnet: formatCidr(subnet),
    isolated: options.isolated,
    mtu,
    longestFrame: maxPacketSize,
    close: () => {
      closed ??= closing.disposeAsync();
      return closed;
    },
  };
}

/** Makes the network that the interface will be on. Throws UserError. */
function makeNetwork(
  native: VmnetNative,
  coreFoundation: () => CoreFoundation,
  options: PrivateOptions,
  closing: AsyncDisposableStack,
) {
  const { networks } = native.vmnet;
  if (networks === undefined) {
    throw new UserError(
      `--vm-net-type private needs macOS 26 or newer, and this is ${options.system}: give --vm-net-type nat or host`,
    );
  }
  const vmMac = parseMac(options.vmMac) ?? 0;
  const exposures = parseExposures(options.expose ?? "");
  const subnets = subnetsToTry(options);
  const cf = coreFoundation();
  const made = createOwnNetwork(networks, cf, { subnets, vmMac, exposures });
  closing.defer(() => cf.CFRelease(made.network));
  const subnet = formatCidr(made.subnet);
  if (options.subnet !== undefined && subnet !== options.subnet) {
    throw new UserError(`--subnet ${options.subnet}: vmnet made ${subnet} of it; give another, or none`);
  }
  return made;
}

function* subnetsToTry({ subnet: chosen, dns, state = readMacState() }: PrivateOptions) {
  if (chosen === undefined) {
    const avoid = dns === undefined ? [] : parseResolvers(dns);
    const withOwn = { ...state, networks: [...state.networks, ...OWN_OF_MACOS] };
    for (const { subnet } of candidates(withOwn, avoid, Math.random)) yield subnet;
    return;
  }
  const subnet = parseSubnet(chosen);
  if (subnet === undefined || subnet.length !== SUBNET_LENGTH) {
    throw new UserError(
      `--subnet ${JSON.stringify(chosen)} is no subnet for a VM: give four addresses, such as 10.99.0.4/30`,
    );
  }
  const overlap = overlapOf(subnet, state);
  if (overlap !== undefined) {
    throw new UserError(`--subnet ${chosen} overlaps ${formatCidr(overlap)} of this Mac; give another, or none`);
  }
  yield subnet;
}

/** The DHCP server's address where the gateway does not answer. */
function someMac(): number {
  const mac = randomBytes(6);
  mac[0] = 0x02; // locally administered, for one card
  return getMac(mac, 0);
}
