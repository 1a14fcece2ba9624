/** Which addresses a target covers, as ranges: for advice about rules that overlap. Slow; not for frames. */
import { lastOf } from "./cidr.ts";
import { classOf, defaultLayer, type KnownNetwork, NO_NETWORK } from "./default-layer.ts";
import { END_OF_SPACE, type Ranges } from "./intervals.ts";
import type { Target } from "./targets/target.ts";

const EVERYWHERE = defaultLayer(NO_NETWORK);

/** What a target covers, ascending; neighbouring ranges may be apart. */
export function rangesOf(target: Target, knownNetwork: KnownNetwork): Ranges {
  if (target.cidr !== undefined) return [[target.cidr.address, lastOf(target.cidr)]];
  if (target.rank === 0) return rangesOfClasses(target.classes);
  const ranges = target.prefixes(knownNetwork).map((cidr) => [cidr.address, lastOf(cidr)] as const);
  return ranges.length < 2 ? ranges : ranges.toSorted(([one], [other]) => one - other);
}

function rangesOfClasses(classes: readonly number[]): Ranges {
  return EVERYWHERE.values.flatMap((value, at) => {
    const last = (EVERYWHERE.starts[at + 1] ?? END_OF_SPACE) - 1;
    return classes.includes(classOf(value)) ? [[EVERYWHERE.starts[at]!, last] as const] : [];
  });
}

/** Whether an address lies in one of the ranges. */
export function includes(ranges: Ranges, address: number): boolean {
  return ranges.some(([first, last]) => first <= address && address <= last);
}

/** Whether two have an address in common. */
export function overlap(one: Ranges, other: Ranges): boolean {
  return one.some(([first, last]) => other.some((of) => of[0] <= last && first <= of[1]));
}

/** Whether all addresses of `inner` are in `outer`, too. */
export function contain(outer: Ranges, inner: Ranges): boolean {
  return inner.every(([first, last]) => isContained(outer, first, last));
}

function isContained(ranges: Ranges, first: number, last: number): boolean {
  let from = first;
  for (const [begin, end] of ranges) {
    if (begin > from) continue;
    if (end >= last) return true;
    if (end >= from) from = end + 1;
  }
  return false;
}
