/** The program's version, from the package it was published in. */
import { readFileSync } from "node:fs";

export function version(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return version;
}
