/** The program's version, from the package it was published in. */
import { readFileSync } from "node:fs";
import { getAsset, isSea } from "node:sea";

// Read at once: after the drop of privileges the folder may be out of reach.
const VERSION: string = JSON.parse(packageJson()).version;

export function version(): string {
  return VERSION;
}

function packageJson(): string {
  if (isSea()) return getAsset("package.json", "utf8");
  return readFileSync(new URL("../package.json", import.meta.url), "utf8");
}
