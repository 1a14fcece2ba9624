/** The program's version, from the package it was published in. */
import { readFileSync } from "node:fs";

// Read at once: after the drop of privileges the folder may be out of reach.
const VERSION: string = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;

export function version(): string {
  return VERSION;
}
