/**
 * A RELEASE in the VM's name (RFC 8415 18.2.7), so that a DHCPv6 server has its addresses back at once when the VM ends. It
 * names server, client and associations as the VM's own messages did.
 *
 * It goes to all servers of the link from a link-local address of the VM's, as every server takes it: to a server's own
 * address a client may send only where the server said so, and then from an address that it must not use, since it gives
 * it back. A VM without a link-local address has none to send it from. It is sent once, and no REPLY is awaited: the VM is
 * gone, and a lease whose RELEASE is lost ends by its time.
 */
import { randomBytes } from "node:crypto";
import type { BoundIPv6Address, IPv6Lease } from "../../guard/types.ts";
import { put32 } from "../../wire/bytes.ts";
import {
  DHCPV6_CLIENT_ID,
  DHCPV6_CLIENT_PORT,
  DHCPV6_RELEASE,
  DHCPV6_SERVER_ID,
  DHCPV6_SERVER_PORT,
  DHCPV6_SERVERS,
  OPTION_ELAPSED_TIME,
  OPTION_IA_NA,
  OPTION_IA_TA,
  OPTION_IAADDR,
} from "../../wire/dhcpv6.ts";
import { dhcpv6Option, emitDhcpv6 } from "../../wire/dhcpv6-emit.ts";
import { emitUdpFrame6 } from "../../wire/frame-6.ts";
import { isLinkLocal, putIPv6 } from "../../wire/ipv6-address.ts";

/** An address with what its lease is known by. */
export type LeasedIPv6Address = BoundIPv6Address & { readonly lease: IPv6Lease };

/** Those of the VM's addresses that a DHCPv6 server gave. */
export function leasedOf(addresses: readonly BoundIPv6Address[]): LeasedIPv6Address[] {
  return addresses.filter(
    (bound): bound is LeasedIPv6Address => bound.origin === "dhcpv6" && bound.lease !== undefined,
  );
}

export interface Release6 {
  readonly frame: Uint8Array;
  /** The addresses that it gives back. */
  readonly addresses: readonly bigint[];
}

/**
 * The frames that give back all that DHCPv6 servers gave the VM with this MAC address: one for each server and client
 * identifier; none where the VM has no link-local address. `addresses`: all that the VM has.
 */
export function releasesOf6(mac: number, addresses: readonly BoundIPv6Address[]): Release6[] {
  const source = addresses.find(({ address }) => isLinkLocal(address));
  if (source === undefined) return [];
  const from = { mac, address: source.address, port: DHCPV6_CLIENT_PORT };
  const to = { ...DHCPV6_SERVERS, port: DHCPV6_SERVER_PORT };
  const messages = Map.groupBy(leasedOf(addresses), ({ lease }) => `${hexOf(lease.server)} ${hexOf(lease.client)}`);
  return [...messages.values()].map((leases) => ({
    frame: emitUdpFrame6(from, to, releaseMessage(leases, randomBytes(4).readUInt32BE() >>> 8)),
    addresses: leases.map(({ address }) => address),
  }));
}

/** Of leases of one server and one client. `xid`: 24 bits. */
function releaseMessage(leases: readonly LeasedIPv6Address[], xid: number): Uint8Array {
  const { client, server } = leases[0]!.lease;
  const associations = Map.groupBy(leases, ({ lease }) => `${lease.temporary ?? false} ${lease.iaid}`);
  return emitDhcpv6(DHCPV6_RELEASE, xid, [
    dhcpv6Option(DHCPV6_CLIENT_ID, client),
    dhcpv6Option(DHCPV6_SERVER_ID, server),
    dhcpv6Option(OPTION_ELAPSED_TIME, new Uint8Array(2)),
    ...[...associations.values()].map(association),
  ]);
}

/** An association with its addresses; times and lifetimes are 0. */
function association(leases: readonly LeasedIPv6Address[]): Uint8Array {
  const { iaid, temporary } = leases[0]!.lease;
  const head = new Uint8Array(temporary ? 4 : 12);
  put32(head, 0, iaid);
  const addresses = leases.map(({ address }) => {
    const value = new Uint8Array(24);
    putIPv6(value, 0, address);
    return dhcpv6Option(OPTION_IAADDR, value);
  });
  return dhcpv6Option(temporary ? OPTION_IA_TA : OPTION_IA_NA, head, ...addresses);
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
