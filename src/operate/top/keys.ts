/** Keys out of what a terminal sends (ECMA-48 cursor keys, in both modes of xterm). */

export type Key = "up" | "down" | "left" | "right" | "first" | "last" | "enter" | "escape" | "quit";

const SEQUENCES: Readonly<Record<string, Key>> = {
  "[A": "up",
  OA: "up",
  "[B": "down",
  OB: "down",
  "[C": "right",
  OC: "right",
  "[D": "left",
  OD: "left",
  "[H": "first",
  OH: "first",
  "[1~": "first",
  "[F": "last",
  OF: "last",
  "[4~": "last",
};

const CHARACTERS: Readonly<Record<string, Key>> = {
  q: "quit",
  Q: "quit",
  "\u0003": "quit", // Ctrl-C
  "\u0004": "quit", // Ctrl-D
  k: "up",
  j: "down",
  g: "first",
  G: "last",
  "\r": "enter",
  "\n": "enter",
  "\u007f": "escape",
  "\b": "escape",
};

const ESC = "\u001b";
/** An escape sequence, or one character. */
const TOKEN = new RegExp(`${ESC}(\\[[0-9;]*[A-Za-z~]|O[A-Za-z])?|[^${ESC}]`, "g");

/** All keys in one chunk of input; what is unknown is skipped. An escape character by itself is the key Esc. */
export function keysIn(input: string): Key[] {
  const keys: Key[] = [];
  for (const [token, sequence] of input.matchAll(TOKEN)) {
    const key = token.startsWith(ESC) ? (sequence === undefined ? "escape" : SEQUENCES[sequence]) : CHARACTERS[token];
    if (key !== undefined) keys.push(key);
  }
  return keys;
}
