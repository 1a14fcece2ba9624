/**
 * Reading softnets' answers, and text of them for a terminal. Nothing of an answer is relied upon: another version may have
 * sent it, or a program that is not softnet; and what a guest asked for by name is in it.
 */

export type Fields = Readonly<Record<string, unknown>>;

/** Characters of one text that is shown. */
const LONGEST_TEXT = 300;

export const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** A finite number that is not negative; else undefined. */
export function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value < Number.POSITIVE_INFINITY ? value : undefined;
}

/** A text, ready to be printed; undefined for what is none. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? printable(value.slice(0, LONGEST_TEXT)) : undefined;
}

/** Without control characters, and nothing but ASCII: what it is from must not control this terminal. */
export function printable(line: string): string {
  return line.replace(/[^ -~]/g, "?");
}

/** Whole seconds in words: `2 d 3 h`, `4 min 5 s`. */
export function duration(seconds: number): string {
  const units = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ] as const;
  let left = Math.max(0, Math.floor(seconds));
  const words: string[] = [];
  for (const [size, unit] of units) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) words.push(`${count} ${unit}`);
  }
  return words.slice(0, 2).join(" ") || "0 s";
}
