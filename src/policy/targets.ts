/** Which addresses a rule's target covers, as ranges: what is told to people about rules that meet. Slow; not for frames. */
import { lastOf } from "./cidr.ts";
import {
  CLASS_GLOBAL,
  CLASS_METADATA,
  CLASS_PRIVATE,
  classOf,
  defaultLayer,
  type KnownNetwork,
} from "./default-layer.ts";
import type { Target } from "./rule.ts";

type Ranges = readonly (readonly [first: number, last: number])[];

const END_OF_SPACE = 2 ** 32;
const EVERYWHERE = defaultLayer({ gateway: 0, address: 0, netmask: 0, dnsServers: [] });

function rangesOfClass(addressClass: number): Ranges {
  return EVERYWHERE.values.flatMap((value, at) => {
    const last = (EVERYWHERE.starts[at + 1] ?? END_OF_SPACE) - 1;
    return classOf(value) === addressClass ? [[EVERYWHERE.starts[at]!, last] as const] : [];
  });
}

const GLOBAL_RANGES = rangesOfClass(CLASS_GLOBAL);
const PRIVATE_RANGES = rangesOfClass(CLASS_PRIVATE);
const METADATA_RANGES = rangesOfClass(CLASS_METADATA);

/** What a target covers, ascending; neighbouring ranges may be apart. */
export function rangesOf(target: Target, { gateway, dnsServers }: KnownNetwork): Ranges {
  if (target.kind === "cidr") return [[target.cidr.address, lastOf(target.cidr)]];
  switch (target.name) {
    case "@host":
      return gateway === 0 ? [] : [[gateway, gateway]];
    case "@dns":
      return dnsServers.map((server) => [server, server]);
    case "@metadata":
      return METADATA_RANGES;
    case "@private":
      return PRIVATE_RANGES;
    case "@global":
      return GLOBAL_RANGES;
  }
}

/** Whether two targets have an address in common. */
export function meets(one: Target, other: Target, knownNetwork: KnownNetwork): boolean {
  const others = rangesOf(other, knownNetwork);
  return rangesOf(one, knownNetwork).some(([first, last]) => others.some((of) => of[0] <= last && first <= of[1]));
}

/** Whether all addresses of a target are another's, too. */
export function holdsTarget(outer: Target, inner: Target, knownNetwork: KnownNetwork): boolean {
  const outers = rangesOf(outer, knownNetwork);
  return rangesOf(inner, knownNetwork).every(([first, last]) => isHeld(outers, first, last));
}

function isHeld(ranges: Ranges, first: number, last: number): boolean {
  let from = first;
  for (const [begin, end] of ranges) {
    if (begin > from) continue;
    if (end >= last) return true;
    if (end >= from) from = end + 1;
  }
  return false;
}
