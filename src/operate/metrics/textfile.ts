/**
 * Writes the text into a file for node_exporter's textfile collector, which may read at any moment: a new file takes the old
 * one's place as a whole. What is not in it any more, such as an ended VM, is forgotten with the next scrape.
 */
import { closeSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { OTHERS_MAY_WRITE } from "../../file-modes.ts";
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
    const descriptor = openReadable(temporary);
    try {
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

/**
 * Makes the file with its mode at once, whatever the umask. Node's permission model, which the executable has, refuses fchmod;
 * and chmod by path would follow a link that somebody else put into the folder.
 */
function openReadable(path: string): number {
  const umask = process.umask(OTHERS_MAY_WRITE);
  try {
    return openSync(path, "wx", READABLE);
  } finally {
    process.umask(umask);
  }
}
