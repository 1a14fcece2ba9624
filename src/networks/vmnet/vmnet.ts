/**
 * `--vm-net-type nat` and `host` on macOS: an interface of the system's shared or host-only network (vmnet's shared and
 * host modes), where macOS serves DHCP and is the gateway. The VM's address is learned from its DHCP.
 *
 * Isolation keeps the VM from others on the same network, and is vmnet's own. Nothing has to be undone: an interface goes
 * with its process, and so do its port forwarding rules.
 */
import { VMNET_HOST_MODE, VMNET_SHARED_MODE } from "../../native/darwin/vmnet.ts";
import { formatCidr } from "../../policy/rule.ts";
import { UserError } from "../../user-error.ts";
import { formatIPv4 } from "../../wire/address.ts";
import { parseExposures } from "../exposures.ts";
import type { Network } from "../network.ts";
import { VmnetInterface } from "./interface.ts";
import type { VmnetNative } from "./native.ts";
import { PortForwarding } from "./port-forwarding.ts";

export interface VmnetOptions {
  readonly type: "nat" | "host";
  readonly isolated: boolean;
  /** `--expose`, as the user typed it. */
  readonly expose?: string;
  /** Tells the user. */
  readonly warn: (message: string) => void;
}

/** Starts the interface. Throws UserError; then nothing of it is left. */
export async function openVmnet(native: VmnetNative, options: VmnetOptions): Promise<Network> {
  const { type, isolated, warn } = options;
  const exposures = parseExposures(options.expose ?? "");
  if (type === "host" && exposures.length > 0) {
    throw new UserError("--expose has no use with --vm-net-type host: nothing is forwarded");
  }
  const mode = type === "host" ? VMNET_HOST_MODE : VMNET_SHARED_MODE;
  const vmnet = await VmnetInterface.start(native, { label: `vmnet ${type}`, on: { mode }, isolated });
  const { gateway, subnet, mtu, maxPacketSize } = vmnet.parameters;
  const forwarding = new PortForwarding(native, vmnet.address, { exposures, warn });
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    vmnet.port.close(); // at once: nothing passes from then on
    await forwarding.close();
    const why = await vmnet.stop();
    if (why !== undefined) warn(why);
  };
  const identity = subnet === undefined ? undefined : `vmnet ${type} ${formatCidr(subnet)}`;
  return {
    label: identity ?? `vmnet ${type}`,
    ...(identity !== undefined && { identity }),
    port: vmnet.port,
    ...(gateway !== undefined && { gateway: formatIPv4(gateway), dhcpServer: formatIPv4(gateway) }),
    ...(subnet !== undefined && { subnet: formatCidr(subnet) }),
    isolated,
    mtu,
    longestFrame: maxPacketSize,
    followAddress: (address) => forwarding.want(address),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}
