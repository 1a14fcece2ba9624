/** The pieces of docs/qemu.md that a user would paste, so that the lab runs what the user reads. */
import { readFileSync } from "node:fs";

const TEXT = readFileSync(new URL("../../../docs/qemu.md", import.meta.url), "utf8");

/** The fenced blocks of one language under a heading, in order. Throws when there are none. */
export function blocks(heading: string, language: "sh" | "xml"): string[] {
  const section = TEXT.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  const found = [...(section ?? "").matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter((match) => match[1] === language);
  if (found.length === 0) throw new Error(`docs/qemu.md has no block of ${language} under "${heading}"`);
  return found.map((match) => match[2]!);
}
