/** TCP ports in ranges, as rules of other programs name them. */

/** First and last port, both in it. */
export type PortRange = readonly [first: number, last: number];

export const LARGEST_PORT = 65_535;
export const EVERY_PORT: readonly PortRange[] = [[1, LARGEST_PORT]];

export function intersect(some: readonly PortRange[], others: readonly PortRange[]): PortRange[] {
  return some.flatMap(([first, last]) =>
    others.flatMap(([begin, end]): PortRange[] => {
      const common = [Math.max(first, begin), Math.min(last, end)] as const;
      return common[0] <= common[1] ? [common] : [];
    }),
  );
}

export function includes(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(([first, last]) => first <= port && port <= last);
}
