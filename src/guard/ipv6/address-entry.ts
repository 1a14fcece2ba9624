/** What is known of an address of the VM's besides the numbers that frames are judged by. */
import type { BoundIPv6Address, IPv6Lease } from "../types.ts";

export const NEVER = Number.POSITIVE_INFINITY;

export interface AddressEntry {
  readonly address: bigint;
  /** Where it stands among all that were noted. */
  readonly order: number;
  origin: BoundIPv6Address["origin"];
  /** When it became tentative, or its question was sent; NEVER = that waits. Microseconds. */
  since: number;
  /** Of softnet's own question alone. */
  asked: boolean;
  /** The VM's last duplicate address detection for it. */
  detected: number;
  expiry: number;
  lease: IPv6Lease | undefined;
}

/** Whether softnet's question for it is still to be sent. */
export function isWaiting({ asked, since }: AddressEntry): boolean {
  return asked && since === NEVER;
}

export function boundOf({ address, origin, expiry, lease }: AddressEntry): BoundIPv6Address {
  return Object.freeze({ family: "ipv6" as const, address, origin, expiry, ...(lease && { lease }) });
}
