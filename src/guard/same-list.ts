/** Whether two lists have the same values in the same order; `same`: of what is no number by itself. For what changes rarely. */
export function isSameList<T>(
  one: readonly T[],
  other: readonly T[],
  same: (one: T, other: T) => boolean = Object.is,
): boolean {
  return one.length === other.length && one.every((value, index) => same(value, other[index]!));
}
