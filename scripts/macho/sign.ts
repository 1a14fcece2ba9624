/**
 * Signs an executable for macOS ad hoc, which means with hashes and no certificate: Apple silicon starts nothing without,
 * and entitlements count only in a signature. Apple's codesign does the same; this needs no Mac. The same input gives the
 * same bytes everywhere.
 *
 * The signature is the last part of the file: a load command says where it begins, the segment __LINKEDIT grows around
 * it, and both are hashed with the rest. In it are five blobs: the CodeDirectory, an empty list of requirements, the
 * entitlements as text and as DER, and an empty place for a certificate's signature. Formats and numbers are xnu's
 * (osfmk/kern/cs_blobs.h), big-endian in the signature and little-endian in the header.
 */
import { codeDirectory, codeDirectorySize, FLAG_ADHOC, MAIN_BINARY } from "./code-directory.ts";
import { entitlementKeys, entitlementsDer } from "./entitlements.ts";
import { CPU_ARM64, findCommand, findSegment, LC_CODE_SIGNATURE, type MachO, readMachO } from "./file.ts";

const SUPER_BLOB = 0xfade0cc0;
const REQUIREMENTS = 0xfade0c01;
const ENTITLEMENTS = 0xfade7171;
const ENTITLEMENTS_DER = 0xfade7172;
const CERTIFICATE_SIGNATURE = 0xfade0b01;
/** Slots, and so the blobs' numbers in the signature's index. */
const SLOT_REQUIREMENTS = 2;
const SLOT_ENTITLEMENTS = 5;
const SLOT_ENTITLEMENTS_DER = 7;
const SLOT_CERTIFICATE_SIGNATURE = 0x10000;

const COMMAND_SIZE = 16; // struct linkedit_data_command
const ALIGNMENT = 16;

export interface SignOptions {
  /** What macOS calls the program. */
  readonly identifier: string;
  /** The property list, as it goes into the signature. */
  readonly entitlements: Buffer;
}

/** The signed file. Throws Error for one that is signed already or has no room for the load command. */
export function signAdHoc(file: Buffer, { identifier, entitlements }: SignOptions): Buffer {
  const unsigned = readMachO(file);
  refuseUnsignable(unsigned);
  const requirements = blob(REQUIREMENTS, Buffer.alloc(4)); // none of them
  const text = blob(ENTITLEMENTS, entitlements);
  const der = blob(ENTITLEMENTS_DER, entitlementsDer(entitlementKeys(entitlements.toString())));
  const { fileOffset, fileSize } = findSegment(unsigned, "__TEXT");
  const options = {
    identifier,
    flags: FLAG_ADHOC,
    special: new Map([
      [SLOT_REQUIREMENTS, requirements],
      [SLOT_ENTITLEMENTS, text],
      [SLOT_ENTITLEMENTS_DER, der],
    ]),
    executable: { offset: fileOffset, size: fileSize, flags: MAIN_BINARY },
  };
  const limit = roundUp(file.length, ALIGNMENT);
  const signatureOf = (directory: Buffer): Buffer =>
    superBlob([
      [0, directory],
      [SLOT_REQUIREMENTS, requirements],
      [SLOT_ENTITLEMENTS, text],
      [SLOT_ENTITLEMENTS_DER, der],
      [SLOT_CERTIFICATE_SIGNATURE, blob(CERTIFICATE_SIGNATURE)],
    ]);
  const size = roundUp(signatureOf(Buffer.alloc(codeDirectorySize(options, limit))).length, ALIGNMENT);
  const signed = Buffer.concat([file], limit + size);
  announce(unsigned, signed, limit, size);
  signed.set(signatureOf(codeDirectory({ ...options, code: signed.subarray(0, limit) })), limit);
  return signed;
}

function refuseUnsignable(macho: MachO): void {
  const { file, segments, commandsEnd, commandsLimit } = macho;
  if (findCommand(macho, LC_CODE_SIGNATURE) !== undefined) throw new Error("there is a signature already");
  const last = segments.at(-1);
  if (last?.name !== "__LINKEDIT" || last.fileOffset + last.fileSize !== file.length) {
    throw new Error("the segment __LINKEDIT does not end the file");
  }
  const room = file.subarray(commandsEnd, Math.min(commandsEnd + COMMAND_SIZE, commandsLimit));
  if (room.length < COMMAND_SIZE || room.some((byte) => byte !== 0)) {
    throw new Error(`behind the load commands are ${room.length} bytes: that is no room for one more`);
  }
}

/** Says in the header of `signed` where the signature is: before anything is hashed. */
function announce(unsigned: MachO, signed: Buffer, limit: number, size: number): void {
  const { file, cpu, commands, commandsEnd } = unsigned;
  signed.writeUInt32LE(commands.length + 1, 16);
  signed.writeUInt32LE(file.readUInt32LE(20) + COMMAND_SIZE, 20);
  for (const [index, value] of [LC_CODE_SIGNATURE, COMMAND_SIZE, limit, size].entries()) {
    signed.writeUInt32LE(value, commandsEnd + 4 * index);
  }
  const { command, fileOffset } = findSegment(unsigned, "__LINKEDIT");
  const fileSize = limit + size - fileOffset;
  const page = cpu === CPU_ARM64 ? 0x4000 : 0x1000;
  signed.writeBigUInt64LE(BigInt(roundUp(fileSize, page)), command.at + 32);
  signed.writeBigUInt64LE(BigInt(fileSize), command.at + 48);
}

/** Magic number, length, content. */
function blob(magic: number, content: Buffer = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(8 + content.length);
  bytes.writeUInt32BE(magic, 0);
  bytes.writeUInt32BE(bytes.length, 4);
  bytes.set(content, 8);
  return bytes;
}

/** A blob of blobs: their number, then slot and place of each, then they themselves. */
function superBlob(blobs: readonly (readonly [slot: number, blob: Buffer])[]): Buffer {
  const index = Buffer.alloc(4 + 8 * blobs.length);
  index.writeUInt32BE(blobs.length, 0);
  let at = 8 + index.length;
  for (const [position, [slot, { length }]] of blobs.entries()) {
    index.writeUInt32BE(slot, 4 + 8 * position);
    index.writeUInt32BE(at, 8 + 8 * position);
    at += length;
  }
  return blob(SUPER_BLOB, Buffer.concat([index, ...blobs.map(([, one]) => one)]));
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
