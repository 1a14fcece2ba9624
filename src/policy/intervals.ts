/**
 * The whole IPv4 address space as consecutive intervals, each with a value: longest prefix match
 * when all prefixes are known in advance. Prefixes are nested or disjoint, so one walk with a stack flattens them.
 */
import { type Cidr, lastOf } from "./cidr.ts";

export interface Valued {
  readonly cidr: Cidr;
  readonly value: number;
}

export interface Intervals {
  /** First address of each interval, ascending, the first is 0. */
  readonly starts: number[];
  readonly values: number[];
}

/** The value of an interval that no prefix covers. */
export const UNCOVERED = -1;

/** Address ranges, ascending: first and last address of each. */
export type Ranges = readonly (readonly [first: number, last: number])[];

/** The first number behind the last address. */
export const END_OF_SPACE = 2 ** 32;

function push(into: Intervals, start: number, value: number): void {
  if (start >= END_OF_SPACE) return;
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
export function flatten(prefixes: readonly Valued[]): Intervals {
  const order = prefixes.toSorted((a, b) => a.cidr.address - b.cidr.address || a.cidr.length - b.cidr.length);
  const flat: Intervals = { starts: [0], values: [UNCOVERED] };
  const open: { readonly last: number; readonly value: number }[] = [];
  const closeBefore = (start: number): void => {
    while (open.length > 0 && open.at(-1)!.last < start) {
      const { last } = open.pop()!;
      push(flat, last + 1, open.at(-1)?.value ?? UNCOVERED);
    }
  };
  for (const { cidr, value } of order) {
    closeBefore(cidr.address);
    push(flat, cidr.address, value);
    open.push({ last: lastOf(cidr), value });
  }
  closeBefore(END_OF_SPACE);
  return flat;
}

/** The values of `top`, and those of `base` where top is uncovered. */
export function overlay(base: Intervals, top: Intervals): Intervals {
  const merged: Intervals = { starts: [], values: [] };
  let below = 0;
  let above = 0;
  let start = 0;
  while (start < END_OF_SPACE) {
    const value = top.values[above]!;
    push(merged, start, value === UNCOVERED ? base.values[below]! : value);
    const nextBelow = base.starts[below + 1] ?? END_OF_SPACE;
    const nextAbove = top.starts[above + 1] ?? END_OF_SPACE;
    start = Math.min(nextBelow, nextAbove);
    if (nextBelow === start) below++;
    if (nextAbove === start) above++;
  }
  return merged;
}

/** The value of an address. Not for frames: it goes through all intervals. */
export function valueAt(intervals: Intervals, address: number): number {
  const next = intervals.starts.findIndex((start) => start > address);
  return intervals.values.at(next < 0 ? -1 : next - 1)!;
}
