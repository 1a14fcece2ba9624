/** A network: what stands behind the host-side port, with what it knows about itself and what it cleans up. */
import type { Rule } from "../policy/rule.ts";
import type { FramePort } from "../relay/port.ts";

/** What goes on, on a host, that concerns the VM: for people. */
export interface HostWatch {
  /** All that is wrong at present. */
  readonly notices: readonly string[];
  /** Called when other things are wrong. */
  onNotices: (notices: readonly string[]) => void;
  /** Called with something that happened. */
  onEvent: (event: string) => void;
}

/** Ethernet's: the largest IP packet where nothing says otherwise, in bytes. */
export const DEFAULT_MTU = 1500;

export interface Network {
  /** What people call it: `bridge br0`, `--host-fd 4`. */
  readonly label: string;
  readonly port: FramePort;
  /**
   * Names the network among those of this host: VMs with the same one must not have the same address. `bridge br0`.
   * Absent where it is not known what is behind the port.
   */
  readonly identity?: string;
  /** The gateway's IPv4 address, where the network knows it. */
  readonly gateway?: string;
  /** The gateway's MAC address, where the network knows it. */
  readonly gatewayMac?: string;
  /** The only DHCP server, where the network knows it. */
  readonly dhcpServer?: string;
  /** Whether softnet itself is that server. */
  readonly serves?: boolean;
  /** The VM's subnet as a CIDR, where the network knows it. */
  readonly subnet?: string;
  /** Whether the network keeps this VM apart from other isolated ones. */
  readonly isolated: boolean;
  /** Largest IP packet in bytes. */
  readonly mtu: number;
  /** Bytes of the longest frame that its port may bring, where that is not `mtu` with an Ethernet header. */
  readonly longestFrame?: number;
  /** The VM's TCP ports that are exposed to others through the network. */
  readonly exposedPorts?: readonly number[];
  /** What the network reports of the host that it is on, where that can change under a running VM. */
  readonly host?: HostWatch;
  /**
   * Called when other rules hold from now on; absent where the network has nothing that depends on them. It may take a
   * moment to follow; when it cannot follow, its port fails. Never throws, also not for rules that make no sense, and
   * may be called at any rate.
   */
  policyChanged?(rules: readonly Rule[]): void;
  /** Called whenever the VM's address changes (host order; 0: it has none), where the network follows it. */
  readonly followAddress?: (address: number) => void;
  /** The IPv6 router's link-local address, where the network knows it; its MAC address is the gateway's. */
  readonly router6?: string;
  /** A /64 as a CIDR that is this VM's alone. */
  readonly prefix6?: string;
  /** Further addresses of the IPv6 router. */
  readonly hostAddresses6?: readonly string[];
  /** Called with the VM's valid IPv6 addresses whenever they change, the oldest first, where the network follows them. */
  readonly followAddresses6?: (addresses: readonly bigint[]) => void;
  /**
   * Closes the port and undoes what was set up on the host. Harmless when called twice. What frames lay in may be given
   * back only when it is done.
   */
  close(): void | Promise<void>;
}
