/**
 * The CodeDirectory of a code signature: the hash of each page of the file and of what else is signed. Its own hash is
 * what macOS knows a program by. Layout and constants are xnu's (osfmk/kern/cs_blobs.h); all numbers are big-endian.
 */
import { hash } from "node:crypto";

const MAGIC = 0xfade0c02; // CSMAGIC_CODEDIRECTORY
const HASH_SIZE = 32;
const HASH_SHA256 = 2;
/** The signature's own pages, whatever the processor's are. Apple's codesign takes 4 KiB for arm64 too. */
const PAGE = 4096;
const PAGE_SHIFT = 12;
/** With the executable segment. */
const VERSION_EXECUTABLE = 0x20400;
const SIZE_EXECUTABLE = 88;
/** With the version of the hardened runtime, too. */
const VERSION_RUNTIME = 0x20500;
const SIZE_RUNTIME = 96;

export const FLAG_ADHOC = 0x2;
/** The executable segment is the main executable's, not a library's. */
export const MAIN_BINARY = 1;

export interface CodeDirectoryOptions {
  /** All that comes before the signature. */
  readonly code: Buffer;
  readonly identifier: string;
  /** Of the signer's certificate, where there is one. */
  readonly team?: string;
  readonly flags: number;
  /** What is signed beside the code, by its slot's positive number; slots between are zeros. */
  readonly special: ReadonlyMap<number, Buffer>;
  /** How many such slots there are; as many as the highest number, where that is not given. */
  readonly specialSlots?: number;
  /** The segment __TEXT's place in the file. */
  readonly executable: { readonly offset: number; readonly size: number; readonly flags: number };
  /** The version of the hardened runtime that is asked for. */
  readonly runtime?: number;
}

export function codeDirectorySize(options: Omit<CodeDirectoryOptions, "code">, codeSize: number): number {
  return layout(options, codeSize).size;
}

export function codeDirectory(options: CodeDirectoryOptions): Buffer {
  const { code, identifier, team, flags, special, executable, runtime } = options;
  const { fixed, teamAt, hashesAt, specialSlots, pages, size } = layout(options, code.length);
  const bytes = Buffer.alloc(size);
  const numbers: [value: number, at: number][] = [
    [MAGIC, 0],
    [size, 4],
    [runtime === undefined ? VERSION_EXECUTABLE : VERSION_RUNTIME, 8],
    [flags, 12],
    [hashesAt, 16],
    [fixed, 20],
    [specialSlots, 24],
    [pages, 28],
    [code.length, 32],
    [team === undefined ? 0 : teamAt, 48],
    ...(runtime === undefined ? [] : [[runtime, 88] as [number, number]]),
  ];
  for (const [value, at] of numbers) bytes.writeUInt32BE(value, at);
  bytes.set([HASH_SIZE, HASH_SHA256, 0, PAGE_SHIFT], 36);
  bytes.writeBigUInt64BE(BigInt(executable.offset), 64);
  bytes.writeBigUInt64BE(BigInt(executable.size), 72);
  bytes.writeBigUInt64BE(BigInt(executable.flags), 80);
  bytes.write(identifier, fixed);
  if (team !== undefined) bytes.write(team, teamAt);
  for (const [slot, blob] of special) bytes.set(sha256(blob), hashesAt - HASH_SIZE * slot);
  for (let page = 0; page < pages; page++) {
    bytes.set(sha256(code.subarray(PAGE * page, PAGE * (page + 1))), hashesAt + HASH_SIZE * page);
  }
  return bytes;
}

function layout(
  { identifier, team, special, specialSlots, runtime }: Omit<CodeDirectoryOptions, "code">,
  code: number,
) {
  const fixed = runtime === undefined ? SIZE_EXECUTABLE : SIZE_RUNTIME;
  const teamAt = fixed + Buffer.byteLength(identifier) + 1;
  const slots = specialSlots ?? Math.max(0, ...special.keys());
  const hashesAt = teamAt + (team === undefined ? 0 : Buffer.byteLength(team) + 1) + HASH_SIZE * slots;
  const pages = Math.ceil(code / PAGE);
  return { fixed, teamAt, hashesAt, specialSlots: slots, pages, size: hashesAt + HASH_SIZE * pages };
}

function sha256(bytes: Buffer): Buffer {
  return hash("sha256", bytes, "buffer");
}
