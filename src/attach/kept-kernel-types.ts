/**
 * What the express lane's programs need to know of the kernel, kept from one softnet to the next: finding it among all types
 * of the kernel is a fifth of the time that attaching takes. The file lies where only root writes and is gone after a boot;
 * it says which kernel it is about, so that one that was started by kexec is read anew.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { KernelTypes } from "../lane/load.ts";
import { readTrusted } from "./trusted-file.ts";

const FIELDS = 8;

export interface KeptIn {
  /** A folder that only `owner` writes. */
  readonly folder: string;
  readonly owner: number;
  /** Names the kernel and how it was built. */
  readonly kernel: string;
}

/** Which kernel runs, and where what is known of it is kept: `folder` is root's. */
export function keptInFolder(folder: string): KeptIn {
  return { folder, owner: 0, kernel: readFileSync("/proc/version", "latin1").trim() };
}

/** What is kept, else what `read` returns, which is kept from then on unless it is the reason why there is nothing. */
export function keptKernelTypes(
  { folder, owner, kernel }: KeptIn,
  read: () => KernelTypes | string,
): KernelTypes | string {
  const path = `${folder}/kernel-types`;
  const kept = parse(readTrusted(path, owner), kernel);
  if (kept !== undefined) return kept;
  const types = read();
  if (typeof types !== "string") keep(path, JSON.stringify({ kernel, ...types }));
  return types;
}

function keep(path: string, text: string): void {
  const next = `${path}.${process.pid}`;
  try {
    writeFileSync(next, text, { mode: 0o600, flag: "wx" });
    renameSync(next, path);
  } catch {
    // The next softnet finds out for itself, too.
  }
}

function parse(text: string | undefined, kernel: string): KernelTypes | undefined {
  if (text === undefined) return undefined;
  try {
    const kept = JSON.parse(text) as KernelTypes & { readonly kernel: unknown };
    const { functions, fields } = kept;
    const places = [...Object.values(functions), ...fields];
    const whole = fields.length === FIELDS && places.length > FIELDS;
    return kept.kernel === kernel && whole && places.every(Number.isSafeInteger) ? { functions, fields } : undefined;
  } catch {
    return undefined;
  }
}
