/** A network: what stands behind the host-side port, with what it knows about itself and what it cleans up. */
import type { FramePort } from "../relay/port.ts";

export interface Network {
  /** What people call it: `bridge br0`, `--host-fd 4`. */
  readonly label: string;
  readonly port: FramePort;
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
  /** Closes the port and undoes what was set up on the host. Harmless when called twice. */
  close(): void;
}
