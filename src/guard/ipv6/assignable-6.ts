/** Which IPv6 addresses a REPLY may give to the VM, and which may be taken up again. */
import type { Cidr6 } from "./policy-questions.ts";

/** 2002::/16 (6to4) and 2001::/32 (Teredo), in the first bits of an address. */
const SIX_TO_FOUR = 0x2002n;
const TEREDO = 0x20010000n;
/** 64:ff9b::/96 (RFC 6052 2.1), ::ffff:0:0/96 and ::/96. */
const WELL_KNOWN_NAT64 = 0x0064ff9b_00000000_00000000n;

/** Whether an address has an IPv4 address in it, which would be reached by it. `nat64`: prefixes that are in use here. */
export function embedsIPv4(address: bigint, nat64: readonly Cidr6[]): boolean {
  const first = address >> 32n;
  if (first === WELL_KNOWN_NAT64 || first === 0n || first === 0xffffn) return true;
  if (address >> 112n === SIX_TO_FOUR || address >> 96n === TEREDO) return true;
  return nat64.some((prefix) => (address ^ prefix.address) >> BigInt(128 - prefix.length) === 0n);
}

/** 2000::/3 and fc00::/7. */
export function isGlobalOrLocal(address: bigint): boolean {
  return address >> 125n === 1n || address >> 121n === 0x7en;
}
