/** The pieces of docs/qemu.md and docs/attach.md that a user would paste, so that the lab runs what the user reads. */
import { readFileSync } from "node:fs";

/** The fenced blocks of one language under a heading, in order. Throws when there are none. */
export function blocks(heading: string, language: "sh" | "xml", page: "qemu.md" | "attach.md" = "qemu.md"): string[] {
  const text = readFileSync(new URL(`../../../docs/${page}`, import.meta.url), "utf8");
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  const found = [...(section ?? "").matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter((match) => match[1] === language);
  if (found.length === 0) throw new Error(`docs/${page} has no block of ${language} under "${heading}"`);
  return found.map((match) => match[2]!);
}
