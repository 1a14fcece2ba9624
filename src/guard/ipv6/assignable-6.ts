/** Which IPv6 addresses a REPLY may give to the VM, and which may be taken up again. */
import type { Cidr6 } from "../../policy/cidr-6.ts";
import { EmbeddedAddresses } from "../../policy/embedded.ts";

/** Whether an address has an IPv4 address in it, which would be reached by it. `nat64`: prefixes that are in use here. */
export function embedsIPv4(words: Int32Array, nat64: readonly Cidr6[]): boolean {
  return new EmbeddedAddresses(nat64).find(words, 0);
}

/** 2000::/3 and fc00::/7. */
export function isGlobalOrLocal(words: Int32Array): boolean {
  return words[0]! >>> 29 === 1 || words[0]! >>> 25 === 0x7e;
}
