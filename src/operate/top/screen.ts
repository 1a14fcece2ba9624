/**
 * The screen as lines of text: pure, from rows and what the user has chosen. Every text comes from fields.ts, so there are no
 * control characters in it. Colours are added by paint.ts.
 */

import type { UnguardedCard } from "../libvirt-cards.ts";
import { detailLines } from "./detail.ts";
import { short } from "./figures.ts";
import type { Line, Size } from "./line.ts";
import type { Row } from "./rates.ts";
import type { NameTotal } from "./sample.ts";
import { indexOf, type ScreenState } from "./state.ts";

export interface Picture {
  readonly rows: readonly Row[];
  /** They stand above the VMs. */
  readonly unguarded: readonly UnguardedCard[];
  readonly state: ScreenState;
  readonly size: Size;
  /** The time of day, as it is shown. */
  readonly clock: string;
  /** The names that a VM asked for last, the newest first. */
  readonly recent: (row: Row) => readonly string[];
  readonly names: (row: Row) => readonly NameTotal[];
}

/** Lines that are not VMs: title, headings, keys. */
const FRAME = 3;
/** Cards without softnet that have a line each; the others are counted. */
const MOST_UNGUARDED = 3;

/** At most `size.rows` lines, each of at most `size.columns` characters. */
export function drawScreen(picture: Picture): Line[] {
  const { rows, state, size } = picture;
  const at = indexOf(
    state,
    rows.map(({ key }) => key),
  );
  const row = rows[at];
  const lines = state.detail && row !== undefined ? drawDetail(row, picture) : drawTable(at, picture);
  return lines.slice(0, size.rows).map(({ text, style }) => ({ text: text.slice(0, size.columns).trimEnd(), style }));
}

function drawTable(at: number, { rows, unguarded, size, clock, recent }: Picture): Line[] {
  const warnings = unguardedLines(unguarded);
  const room = Math.max(1, size.rows - FRAME - warnings.length);
  const first = Math.min(Math.max(0, at - room + 1), Math.max(0, rows.length - room));
  const unasked = rows.filter(({ vm }) => vm.status === undefined).length;
  const title = [
    `softnet top  ${clock}  ${rows.length} ${rows.length === 1 ? "VM" : "VMs"}`,
    ...(unasked > 0 ? [`${unasked} cannot be asked`] : []),
    ...(rows.length > room ? [`${first + 1} to ${Math.min(rows.length, first + room)} shown`] : []),
  ].join(", ");
  const width = nameWidth(rows);
  return [
    { text: title, style: "title" },
    ...warnings,
    { text: `  ${headings(width)}`, style: "heading" },
    ...rows.slice(first, first + room).map((row, index) => tableLine(row, width, first + index === at, recent(row))),
    ...(rows.length === 0 ? [{ text: "  no VM's softnet runs here", style: "plain" } as const] : []),
    { text: "up, down: choose a VM   Enter: the VM in detail   q: end", style: "help" },
  ];
}

function unguardedLines(cards: readonly UnguardedCard[]): Line[] {
  const shown = cards.length > MOST_UNGUARDED ? MOST_UNGUARDED - 1 : cards.length;
  const lines = cards.slice(0, shown).map(({ domain, mac, network, ...card }) => {
    const words = [domain, mac, card.interface].filter((word) => word !== undefined);
    return `UNGUARDED: ${words.join(" ")}, ${network}`;
  });
  if (cards.length > shown) lines.push(`UNGUARDED: ${cards.length - shown} more: softnet list has them`);
  return lines.map((text) => ({ text, style: "warning" }));
}

const CELLS = ["OUT fr/s", "OUT bit/s", "IN fr/s", "IN bit/s", "FLOWS", "DROPS/s"] as const;
const LONGEST_NAME = 24;
const REASON_WIDTH = 22;

function nameWidth(rows: readonly Row[]): number {
  return Math.min(LONGEST_NAME, Math.max(4, ...rows.map(({ vm }) => titleOf(vm).length)));
}

function headings(width: number): string {
  return `${"NAME".padEnd(width)} ${CELLS.map((cell) => cell.padStart(9)).join(" ")}  ${"REASON".padEnd(REASON_WIDTH)} LAST NAMES`;
}

function tableLine(row: Row, width: number, chosen: boolean, names: readonly string[]): Line {
  const { vm, fromVm, toVm, flows, dropRate, drops } = row;
  const begin = `${chosen ? ">" : " "} ${titleOf(vm).slice(0, width).padEnd(width)} `;
  if (vm.status === undefined) {
    const why = vm.error === undefined ? "it has no control socket" : withoutPath(vm.error);
    return { text: `${begin}cannot be asked: ${why}`, style: chosen ? "chosen" : "plain" };
  }
  const cells = [fromVm?.framesRate, fromVm?.bitsRate, toVm?.framesRate, toVm?.bitsRate, flows, dropRate].map(short);
  const reason = drops[0]?.reason ?? "";
  const text = `${begin}${cells.map((cell) => cell.padStart(9)).join(" ")}  ${reason.padEnd(REASON_WIDTH)} ${names.join(", ")}`;
  return { text, style: chosen ? "chosen" : (dropRate ?? 0) > 0 ? "warning" : "plain" };
}

/** What people call a VM: its name, else its MAC address. */
export function titleOf({ name, mac }: Row["vm"]): string {
  return name ?? mac ?? "?";
}

function withoutPath(error: string): string {
  return error.replace(/^\/\S*: /, "");
}

function drawDetail(row: Row, { state, size, clock, names, recent }: Picture): Line[] {
  const lines = detailLines(row, names(row), recent(row));
  const room = Math.max(1, size.rows - 2);
  const first = Math.min(state.offset, Math.max(0, lines.length - room));
  return [
    { text: `softnet top  ${clock}  ${titleOf(row.vm)}`, style: "title" },
    ...lines.slice(first, first + room),
    { text: "up, down: scroll   Esc: all VMs   q: end", style: "help" },
  ];
}
