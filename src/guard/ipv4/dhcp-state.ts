/** What DHCP's two directions share: one VM's transactions, addresses and lease, and whom the VM may believe. */
import type { Cidr } from "../../policy/rule.ts";
import type { DhcpMessage } from "../../wire/dhcp.ts";
import type { GatewayWatch } from "./gateway-watch.ts";
import type { Lease } from "./lease.ts";
import type { OwnRequest } from "./own-request.ts";
import type { PendingAddresses } from "./recent.ts";
import type { Transactions } from "./transactions.ts";

export interface DhcpState {
  /** The VM's MAC. */
  readonly mac: number;
  /** The only server to be trusted; 0 = not known. */
  readonly trustedServer: number;
  /** The only MAC that the server's messages may come from, as configured; UNKNOWN_MAC = any. */
  readonly serverMac: number;
  /** The gateway as configured, so that no server may name another router; 0 = as DHCP says. */
  readonly configuredGateway: number;
  /** The only name that the VM may give itself, in lower case; undefined = any. */
  readonly hostname: string | undefined;
  /** The VM's subnet, where the network knows it. */
  readonly subnet: Cidr | undefined;
  readonly lease: Lease;
  readonly pending: PendingAddresses;
  readonly gateway: GatewayWatch;
  readonly transactions: Transactions;
  readonly ownRequest: OwnRequest;
  /** Whether another VM of this host holds an address here; undefined = not known. */
  readonly heldElsewhere: ((address: number) => boolean) | undefined;
  /** Read into for each message, one at a time. */
  readonly message: DhcpMessage;
}

/** Whether another VM of this host holds the address; may do I/O, and what goes wrong there counts as held (threat row D6). */
export function isHeldElsewhere({ heldElsewhere }: DhcpState, address: number): boolean {
  if (heldElsewhere === undefined) return false;
  try {
    return heldElsewhere(address);
  } catch {
    return true;
  }
}

/** The server that the VM may talk to by unicast: the binding's, else the trusted one; 0 = none. */
export function serverOf(state: DhcpState): number {
  return state.lease.bound?.server || state.trustedServer;
}
