/** A table as text: columns as wide as their longest cell. */

/** The first row is the headings; no lines where there is no other. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const [headings] = rows;
  if (headings === undefined || rows.length === 1) return [];
  const widths = headings.map((_, column) => rows.reduce((most, row) => Math.max(most, row[column]!.length), 0));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}
