/** What names must know of an address family; asked only where a policy has names. */
import type { Address } from "./pairs.ts";

export interface NameFamily {
  /** The remote address of the packet that was read last, or of the flow that was selected, which has this number. */
  addressOf(remote: number): Address;
  /** Whether it is a DNS server that the binding announces. */
  isDnsServer(remote: number): boolean;
  /** Whether a block rule with a port, which ranks as one address, counts for a packet of the VM's to it. */
  outranksNames(remote: number, port: number): boolean;
  /** Whether the default policy alone would let the VM reach an address as globally routable. */
  isPinnable(address: Address): boolean;
}
