/** Aliases: words for addresses that people need and get wrong. */
import type { Cidr } from "../cidr.ts";
import { CLASS_GLOBAL, CLASS_METADATA, CLASS_OTHER, CLASS_PRIVATE } from "../default-layer.ts";
import { METADATA_ADDRESSES } from "../special-purpose.ts";
import type { Target, TargetKind } from "./target.ts";

const host = (address: number): Cidr => ({ address, length: 32 });

/** `own`: what differs from an alias of single addresses that are the same in every network. */
function alias(text: string, prefixes: Target["prefixes"], own: Partial<Target> = {}): Target {
  return Object.freeze({
    text,
    rank: 32,
    cidr: undefined,
    classes: [],
    followsNetwork: false,
    blockedClass: CLASS_OTHER,
    countsInBlockedAlias: true,
    prefixes,
    ...own,
  });
}

/** The gateway. */
export const HOST = alias("@host", ({ gateway }) => (gateway === 0 ? [] : [host(gateway)]), { followsNetwork: true });

const ALIASES_BY_TEXT: ReadonlyMap<string, Target> = new Map(
  [
    HOST,
    alias("@dns", ({ dnsServers }) => dnsServers.map(host), { followsNetwork: true }),
    alias("@metadata", () => METADATA_ADDRESSES, { blockedClass: CLASS_METADATA }),
    alias("@private", () => [], { rank: 0, classes: [CLASS_PRIVATE], blockedClass: CLASS_PRIVATE }),
    alias("@global", () => [], { rank: 0, classes: [CLASS_GLOBAL] }),
  ].map((one) => [one.text, one]),
);

export const ALIASES: TargetKind = {
  form: `one of ${[...ALIASES_BY_TEXT.keys()].join(", ")}`,

  parse(text) {
    return ALIASES_BY_TEXT.get(text);
  },
};
