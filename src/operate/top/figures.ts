/** Figures in few characters. */

const PREFIXES = ["", "k", "M", "G", "T", "P"] as const;

/** With a decimal prefix: `950`, `1.2k`, `88M`. A rate that is not known is `-`. */
export function short(value: number | undefined): string {
  if (value === undefined) return "-";
  let [scaled, prefix] = [value, 0];
  while (scaled >= 999.5 && prefix < PREFIXES.length - 1) {
    scaled /= 1000;
    prefix++;
  }
  const digits = scaled > 0 && scaled < 9.95 && (prefix > 0 || !Number.isInteger(scaled)) ? 1 : 0;
  return `${scaled.toFixed(digits)}${PREFIXES[prefix]}`;
}
