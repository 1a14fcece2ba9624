/**
 * IPv6 addresses of before: when softnet is started again under a running VM, the VM goes on with the ones that it has (threat
 * row D28). What was kept is judged again, because the options may have changed since.
 */
import { wordsOf } from "../../wire/ipv6-address.ts";
import {
  hasNoInterface,
  isInLinkLocalPrefix,
  isLinkLocal,
  isLoopback6,
  isMulticast6,
  isUnspecified,
} from "../../wire/ipv6-words.ts";
import type { BoundIPv6Address, RestoredBinding } from "../types.ts";
import { embedsIPv4, isGlobalOrLocal } from "./assignable-6.ts";
import type { Dhcpv6State } from "./dhcpv6-state.ts";

const LONGEST_IDENTIFIER = 130;

/** Takes what may still be the VM's of what it had. */
export function restore6(state: Dhcpv6State, kept: RestoredBinding | undefined): void {
  for (const bound of kept?.addresses ?? []) {
    if (bound.family !== "ipv6" || !mayBeRestored(state, bound)) continue;
    if (!state.addresses.restore(bound, kept?.time ?? 0)) continue;
    if (bound.lease) state.identities.restore(bound.lease.client, bound.lease.iaid);
  }
}

function mayBeRestored({ router, staticAddress }: Dhcpv6State, bound: BoundIPv6Address): boolean {
  const { address, origin, expiry, lease } = bound;
  const words = wordsOf(address);
  if (isUnspecified(words) || isLoopback6(words) || hasNoInterface(words)) return false;
  if (router.isItsAddress(words) || isMulticast6(words) || embedsIPv4(words, [])) return false;
  if (origin === "dhcpv6") {
    if (lease === undefined || !(expiry > 0) || !isGlobalOrLocal(words)) return false;
    if (!isIdentifier(lease.client) || !isIdentifier(lease.server)) return false;
    return staticAddress === undefined;
  }
  if (origin === "static") return false;
  if (isLinkLocal(words)) return isInLinkLocalPrefix(words);
  return staticAddress === undefined;
}

function isIdentifier(identifier: Uint8Array): boolean {
  return identifier.length >= 1 && identifier.length <= LONGEST_IDENTIFIER;
}
