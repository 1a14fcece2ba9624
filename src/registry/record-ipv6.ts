/** A record's part about IPv6 (version 2): the VM's addresses, and those that it is about to get. */
import type { IPv6Lease } from "../guard/types.ts";
import { formatIPv6 } from "../wire/ipv6-address.ts";
import { endOf, type Fields } from "./fields.ts";

/** As many as a guard's binding has: 4 link-local and 16 other addresses. */
export const MOST_KEPT_IPV6 = 20;
export const MOST_CLAIMED_IPV6 = 20;

/** Bytes of a DUID (RFC 8415 11.1). */
const LONGEST_DUID = 130;
const LARGEST_IAID = 0xffffffff;
const ORIGINS = ["slaac", "dhcpv6", "static"] as const;

/** A stored IPv6 address of the VM's binding. */
export interface KeptIPv6Address {
  readonly address: bigint;
  readonly origin: (typeof ORIGINS)[number];
  /** DUIDs of server and client, and the IAID; only where the origin is `dhcpv6`. */
  readonly lease?: IPv6Lease;
  /** Its end in milliseconds since 1970; Infinity = no end that is known. */
  readonly expires: number;
  /** The same in microseconds since boot. */
  readonly expiresSinceBoot: number;
}

/** An IPv6 address that the VM is about to get, and when it was claimed: microseconds since boot. */
export interface ClaimedIPv6Address {
  readonly address: bigint;
  readonly sinceBoot: number;
}

export function keptIPv6ToJson({ address, origin, lease, expires, expiresSinceBoot }: KeptIPv6Address): object {
  return {
    address: formatIPv6(address),
    origin,
    ...(lease && {
      lease: {
        server: hexOf(lease.server),
        client: hexOf(lease.client),
        iaid: lease.iaid,
        ...(lease.temporary && { temporary: true }),
      },
    }),
    expires: endOf(expires),
    expiresSinceBoot: endOf(expiresSinceBoot),
  };
}

export function claimOfIPv6ToJson({ address, sinceBoot }: ClaimedIPv6Address): object {
  return { address: formatIPv6(address), sinceBoot: endOf(sinceBoot) };
}

/** Throws unless it is as it is written. */
export function keptIPv6(fields: Fields): KeptIPv6Address {
  const origin = fields.oneOf("origin", ORIGINS);
  const lease = fields.has("lease") ? leaseOf(fields.object("lease")) : undefined;
  const expires = fields.end("expires");
  const expiresSinceBoot = fields.end("expiresSinceBoot");
  if (Number.isFinite(expires) !== Number.isFinite(expiresSinceBoot)) throw new Error("not as it is written");
  if (lease !== undefined && origin !== "dhcpv6") throw new Error("not as it is written");
  return { address: fields.addressOfIPv6("address"), origin, ...(lease && { lease }), expires, expiresSinceBoot };
}

/** Throws unless it is as it is written. */
export function claimOfIPv6(fields: Fields): ClaimedIPv6Address {
  return { address: fields.addressOfIPv6("address"), sinceBoot: fields.number("sinceBoot") };
}

function leaseOf(fields: Fields): IPv6Lease {
  const [server, client, iaid] = [fields.bytes("server"), fields.bytes("client"), fields.number("iaid")];
  if (server.length > LONGEST_DUID || client.length > LONGEST_DUID || iaid > LARGEST_IAID) {
    throw new Error("not as it is written");
  }
  return { server, client, iaid, ...(fields.flag("temporary") && { temporary: true }) };
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
