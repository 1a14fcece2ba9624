/** A binding is joined from the addresses that each family owns (family.ts); nothing on a frame's way reads it. */
import type { Binding, BoundAddress } from "./types.ts";

/** The binding with these addresses. It and its list do not change afterwards. */
export function bindingOf(addresses: readonly BoundAddress[]): Binding {
  return Object.freeze({
    addresses: Object.freeze([...addresses]),
    ipv4: addresses.find((bound) => bound.family === "ipv4"),
    ipv6: Object.freeze(addresses.filter((bound) => bound.family === "ipv6")),
  });
}
