/** Lines of a screen as bytes for a terminal (ECMA-48), or as plain text. */
import { printable } from "../fields.ts";
import type { Line, Style } from "./line.ts";

const ESC = "\u001b[";

/** Own screen, no cursor, no line wrap; and back. */
export const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l`;
export const LEAVE = `${ESC}?7h${ESC}?25h${ESC}0m${ESC}?1049l`;

const COLOURS: Readonly<Record<Style, string>> = {
  title: `${ESC}1m`,
  heading: `${ESC}4m`,
  chosen: `${ESC}7m`,
  warning: `${ESC}33m`,
  help: `${ESC}2m`,
  plain: "",
};

/** The whole screen anew, without a moment in which it is empty. No line of a screen can hold a control character. */
export function paint(lines: readonly Line[], colour: boolean): string {
  const painted = lines.map(({ text, style }) => {
    const begin = colour ? COLOURS[style] : "";
    return `${begin}${printable(text)}${begin === "" ? "" : `${ESC}0m`}${ESC}K`;
  });
  return `${ESC}H${painted.join("\r\n")}${ESC}J`;
}

/** For a file or a pipe. */
export function plainText(lines: readonly Line[]): string {
  return lines.map(({ text }) => `${printable(text)}\n`).join("");
}
