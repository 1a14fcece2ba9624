/** Which addresses a target covers, as ranges: for advice about rules that overlap. Slow; not for frames. */
import {
  type Address,
  type AddressSpace,
  after,
  before,
  compare,
  IPV4_SPACE,
  IPV6_SPACE,
  type Prefix,
  type RangesOf,
} from "./address-space.ts";
import { classOf, defaultLayer, type KnownNetwork, NO_NETWORK } from "./default-layer.ts";
import { type KnownNetwork6, LAYER_6_EVERYWHERE } from "./default-layer-6.ts";
import type { IntervalsOf, Ranges } from "./intervals.ts";
import type { Target } from "./targets/target.ts";

const EVERYWHERE = defaultLayer(NO_NETWORK);

/** What a target covers of IPv4, ascending; neighbouring ranges may be apart. */
export function rangesOf(target: Target, knownNetwork: KnownNetwork): Ranges {
  const { classes } = target;
  if (classes.length > 0) return rangesOfClasses(IPV4_SPACE, EVERYWHERE, classes);
  return rangesOfPrefixes(IPV4_SPACE, target.prefixes(knownNetwork));
}

/** The same of IPv6. */
export function rangesOf6(target: Target, knownNetwork: KnownNetwork6): RangesOf<bigint> {
  const { classes6 } = target;
  if (classes6.length > 0) return rangesOfClasses(IPV6_SPACE, LAYER_6_EVERYWHERE, classes6);
  return rangesOfPrefixes(IPV6_SPACE, target.prefixes6(knownNetwork));
}

function rangesOfPrefixes<A extends Address>(space: AddressSpace<A>, prefixes: readonly Prefix<A>[]): RangesOf<A> {
  const ranges = prefixes.map((prefix) => [prefix.address, before(space.behind(prefix))] as const);
  return ranges.length < 2 ? ranges : ranges.toSorted(([one], [other]) => compare(one, other));
}

function rangesOfClasses<A extends Address>(
  space: AddressSpace<A>,
  { starts, values }: IntervalsOf<A>,
  classes: readonly number[],
): RangesOf<A> {
  return values.flatMap((value, at) =>
    classes.includes(classOf(value)) ? [[starts[at]!, before(starts[at + 1] ?? space.end)] as const] : [],
  );
}

/** Whether an address lies in one of the ranges. */
export function includes<A extends Address>(ranges: RangesOf<A>, address: A): boolean {
  return ranges.some(([first, last]) => first <= address && address <= last);
}

/** Whether two have an address in common. */
export function overlap<A extends Address>(one: RangesOf<A>, other: RangesOf<A>): boolean {
  return one.some(([first, last]) => other.some((of) => of[0] <= last && first <= of[1]));
}

/** Whether all addresses of `inner` are in `outer`, too. */
export function contain<A extends Address>(outer: RangesOf<A>, inner: RangesOf<A>): boolean {
  return inner.every(([first, last]) => isContained(outer, first, last));
}

function isContained<A extends Address>(ranges: RangesOf<A>, first: A, last: A): boolean {
  let from = first;
  for (const [begin, end] of ranges) {
    if (begin > from) continue;
    if (end >= last) return true;
    if (end >= from) from = after(end);
  }
  return false;
}
