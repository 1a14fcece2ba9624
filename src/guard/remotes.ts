/**
 * Remote addresses as numbers of 32 bits: what flows and noted fragments know the other side by. An IPv4 address is its own
 * number; IPv6's are lent (ipv6/remote-numbers.ts), so that a flow has 32 bytes in either family.
 */

export interface Remotes {
  /** Something that is remembered begins with a packet's remote address; returns the number to remember it by. */
  hold(remote: number): number;
  /** One thing that was remembered by this number is over. */
  release(remote: number): void;
  /** What half-open flows of a remote address are counted by. */
  countedBy(remote: number): number;
}

/** IPv4's. */
export class AddressNumbers implements Remotes {
  hold(remote: number): number {
    return remote;
  }

  release(): void {}

  countedBy(remote: number): number {
    return remote;
  }
}
