/**
 * The sets of a VM's tables: whom the forward path must know by address, and who may become others while softnet runs
 * (`policyChanged`). Their order here is the order in which the keeper is told their elements.
 */
import { formatIPv4 } from "../../wire/address.ts";
import type { Range, Reach } from "./reach.ts";

export type SetName = keyof Reach;

/** Of the VM's main table, and of its gate (gate.ts). */
export const TABLE_SETS: readonly SetName[] = ["allowed", "answerable", "closed"];
export const GATE_SETS: readonly SetName[] = ["allowed"];

/** What the keeper is told of an empty set. */
const NONE = "-";

/** The elements as nft reads them, without blanks: made of digits, dots, dashes and commas. */
export function elementsOf(ranges: readonly Range[]): string {
  if (ranges.length === 0) return NONE;
  const elements = ranges.map(([first, last]) =>
    first === last ? formatIPv4(first) : `${formatIPv4(first)}-${formatIPv4(last)}`,
  );
  return elements.join(",");
}

/** The elements of these sets, one word for each. */
export function wordsOf(names: readonly SetName[], reach: Reach): string[] {
  return names.map((name) => elementsOf(reach[name]));
}

/** Commands that make these sets in a table, `inet NAME`, with what is in them at first. */
export function declareSets(table: string, names: readonly SetName[], reach: Reach): string[] {
  return names.flatMap((name) => {
    const elements = elementsOf(reach[name]);
    const declared = `add set ${table} ${name} { type ipv4_addr; flags interval; }`;
    return elements === NONE ? [declared] : [declared, `add element ${table} ${name} { ${elements} }`];
  });
}
