/**
 * Writes the text into a file for node_exporter's textfile collector, which may read at any moment: a new file takes the old
 * one's place as a whole. What is not in it any more, such as an ended VM, is forgotten with the next scrape.
 */
import { closeSync, fchmodSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UserError } from "../../user-error.ts";

/** The collector runs as another user. */
const READABLE = 0o644;

/** Throws UserError; then the file is as it was. */
export function writeTextfile(path: string, text: string): void {
  if (!path.endsWith(".prom")) {
    throw new UserError(`--textfile ${path}: node_exporter reads only files whose names end with .prom`);
  }
  // A name that the collector does not read.
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}`);
  try {
    const descriptor = openSync(temporary, "wx", READABLE);
    try {
      fchmodSync(descriptor, READABLE);
      writeFileSync(descriptor, text);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EEXIST") rmSync(temporary, { force: true });
    throw new UserError(`--textfile ${path} cannot be written (${message}): give a path in a folder of your own`);
  }
}
