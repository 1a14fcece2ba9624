/**
 * A whole address space as consecutive intervals, each with a value: longest prefix match when all prefixes are known in
 * advance. Prefixes are nested or disjoint, so one walk with a stack flattens them.
 */
import {
  type Address,
  type AddressSpace,
  compare,
  IPV4_SPACE,
  least,
  type Prefix,
  type RangesOf,
} from "./address-space.ts";

export interface ValuedPrefix<A extends Address> {
  readonly cidr: Prefix<A>;
  readonly value: number;
}

export interface IntervalsOf<A extends Address> {
  /** First address of each interval, ascending, the first is the space's. */
  readonly starts: A[];
  readonly values: number[];
}

/** Of IPv4. */
export type Valued = ValuedPrefix<number>;
export type Intervals = IntervalsOf<number>;
export type Ranges = RangesOf<number>;

/** The value of an interval that no prefix covers. */
export const UNCOVERED = -1;

/** The first number behind the last IPv4 address. */
export const END_OF_SPACE = IPV4_SPACE.end;

function push<A extends Address>(space: AddressSpace<A>, into: IntervalsOf<A>, start: A, value: number): void {
  if (start >= space.end) return;
  const last = into.starts.length - 1;
  if (last >= 0 && into.starts[last] === start) {
    into.values[last] = value;
    if (last > 0 && into.values[last - 1] === value) {
      into.starts.pop();
      into.values.pop();
    }
  } else if (last < 0 || into.values[last] !== value) {
    into.starts.push(start);
    into.values.push(value);
  }
}

/** Flattens prefixes: the longest that covers an address gives its value; of equal prefixes the last in the list does. */
export function flatten<A extends Address>(
  space: AddressSpace<A>,
  prefixes: readonly ValuedPrefix<A>[],
): IntervalsOf<A> {
  const order = prefixes.toSorted((a, b) => compare(a.cidr.address, b.cidr.address) || a.cidr.length - b.cidr.length);
  const flat: IntervalsOf<A> = { starts: [space.zero], values: [UNCOVERED] };
  const open: { readonly end: A; readonly value: number }[] = [];
  const closeBefore = (start: A): void => {
    while (open.length > 0 && open.at(-1)!.end <= start) {
      const { end } = open.pop()!;
      push(space, flat, end, open.at(-1)?.value ?? UNCOVERED);
    }
  };
  for (const { cidr, value } of order) {
    closeBefore(cidr.address);
    push(space, flat, cidr.address, value);
    open.push({ end: space.behind(cidr), value });
  }
  closeBefore(space.end);
  return flat;
}

/** The values of `top`, and those of `base` where top is uncovered. `join` may make another value of the two. */
export function overlay<A extends Address>(
  space: AddressSpace<A>,
  base: IntervalsOf<A>,
  top: IntervalsOf<A>,
  join: (below: number, above: number) => number = (_, above) => above,
): IntervalsOf<A> {
  const merged: IntervalsOf<A> = { starts: [], values: [] };
  let below = 0;
  let above = 0;
  let start = space.zero;
  while (start < space.end) {
    const value = top.values[above]!;
    push(space, merged, start, value === UNCOVERED ? base.values[below]! : join(base.values[below]!, value));
    const nextBelow = base.starts[below + 1] ?? space.end;
    const nextAbove = top.starts[above + 1] ?? space.end;
    start = least(nextBelow, nextAbove);
    if (nextBelow === start) below++;
    if (nextAbove === start) above++;
  }
  return merged;
}

/** The value of an address. Not for frames: it goes through all intervals. */
export function valueAt<A extends Address>(intervals: IntervalsOf<A>, address: A): number {
  const next = intervals.starts.findIndex((start) => start > address);
  return intervals.values.at(next < 0 ? -1 : next - 1)!;
}
