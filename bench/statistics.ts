/** Medians, because machines are noisy, and how far apart the middle half lies. */

export interface Spread {
  readonly median: number;
  readonly lower: number;
  readonly upper: number;
}

/** The median and the quartiles. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): number => {
    const position = part * (sorted.length - 1);
    const below = sorted[Math.floor(position)]!;
    return below + (sorted[Math.ceil(position)]! - below) * (position % 1);
  };
  return { median: at(0.5), lower: at(0.25), upper: at(0.75) };
}

export function show({ median, lower, upper }: Spread, digits = 0): string {
  return `${median.toFixed(digits)} (${lower.toFixed(digits)}–${upper.toFixed(digits)})`;
}
