/** Aliases: words for addresses that people need and get wrong. They cover addresses of both families. */
import type { Cidr } from "../cidr.ts";
import { type Cidr6, cidr6Of } from "../cidr-6.ts";
import { CLASS_GLOBAL, CLASS_METADATA, CLASS_OTHER, CLASS_PRIVATE } from "../default-layer.ts";
import { METADATA_ADDRESSES } from "../special-purpose.ts";
import { METADATA_ADDRESSES_6 } from "../special-purpose-6.ts";
import type { Target, TargetKind } from "./target.ts";

const host = (address: number): Cidr => ({ address, length: 32 });
const host6 = (address: bigint): Cidr6 => cidr6Of(address, 128);

/** Of single addresses. */
function alias(text: string, covers: Pick<Target, "prefixes" | "prefixes6">, own: Partial<Target> = {}): Target {
  return Object.freeze({
    text,
    rank: 32,
    cidr: undefined,
    cidr6: undefined,
    name: undefined,
    classes: [],
    classes6: [],
    followsNetwork: false,
    blockedClass: CLASS_OTHER,
    countsInBlocked: () => true,
    ...covers,
    ...own,
  });
}

/** Of a whole class. */
function classAlias(text: string, addressClass: number, own: Partial<Target> = {}): Target {
  const classes = [addressClass];
  return alias(text, { prefixes: () => [], prefixes6: () => [] }, { rank: 0, classes, classes6: classes, ...own });
}

/** The gateway, and IPv6's router. */
export const HOST = alias(
  "@host",
  {
    prefixes: ({ gateway }) => (gateway === 0 ? [] : [host(gateway)]),
    prefixes6: ({ routers }) => routers.map(host6),
  },
  { followsNetwork: true },
);

const DNS = alias(
  "@dns",
  {
    prefixes: ({ dnsServers }) => dnsServers.map(host),
    prefixes6: ({ dnsServers }) => dnsServers.map(host6),
  },
  { followsNetwork: true },
);

const METADATA = alias(
  "@metadata",
  { prefixes: () => METADATA_ADDRESSES, prefixes6: () => METADATA_ADDRESSES_6 },
  { blockedClass: CLASS_METADATA },
);

const ALIASES_BY_TEXT: ReadonlyMap<string, Target> = new Map(
  [
    HOST,
    DNS,
    METADATA,
    classAlias("@private", CLASS_PRIVATE, { blockedClass: CLASS_PRIVATE }),
    classAlias("@global", CLASS_GLOBAL),
  ].map((one) => [one.text, one]),
);

export const ALIASES: TargetKind = {
  form: `one of ${[...ALIASES_BY_TEXT.keys()].join(", ")}`,

  parse(text) {
    return ALIASES_BY_TEXT.get(text);
  },
};
