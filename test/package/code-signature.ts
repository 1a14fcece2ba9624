/** What code_signature.py, a reader that has nothing in common with the signer, says of a Mach-O file's signature. */
import { fileURLToPath } from "node:url";
import { run } from "../support/tools.ts";

const READER = fileURLToPath(new URL("code_signature.py", import.meta.url));

export interface CodeSignature {
  readonly version: number;
  readonly flags: number;
  readonly identifier: string;
  readonly team?: string;
  readonly runtime?: number;
  readonly specialSlots: number;
  readonly pages: number;
  readonly pageSize: number;
  readonly codeLimit: number;
  readonly executable: { readonly offset: number; readonly size: number; readonly flags: number };
  /** Pages whose hash is not the one in the signature. */
  readonly wrongPages: readonly number[];
  /** Whatever else does not fit together. */
  readonly problems: readonly string[];
  /** Where each blob is in the file, by its slot. */
  readonly blobs: Readonly<Record<string, { readonly offset: number; readonly size: number }>>;
}

/** Throws where there is no signature, or none that can be read. */
export function readCodeSignature(path: string): CodeSignature {
  return JSON.parse(run("python3", READER, path));
}

/** The bytes of one of its blobs. */
export function blobOf(file: Buffer, { blobs }: CodeSignature, slot: number): Buffer {
  const { offset, size } = blobs[slot]!;
  return file.subarray(offset, offset + size);
}
