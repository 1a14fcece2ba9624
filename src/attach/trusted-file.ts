/** Files below the registry's folder that only root writes. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { OTHERS_MAY_WRITE } from "../file-modes.ts";

const ROOT = 0;
/** Bytes. */
const LARGEST = 16_384;

/** The text of a file that nobody but `owner` could have written, of `largest` bytes at most; undefined where there is none. */
export function readTrusted(path: string, owner = ROOT, largest = LARGEST): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const stats = fstatSync(fd);
    const trusted = stats.isFile() && stats.uid === owner && (stats.mode & OTHERS_MAY_WRITE) === 0;
    return trusted && stats.size <= largest ? readFileSync(fd, "utf8") : undefined;
  } finally {
    closeSync(fd);
  }
}
