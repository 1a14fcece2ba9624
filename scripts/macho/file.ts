/**
 * A Mach-O executable's header, load commands, segments and sections, as far as signing and comparing need them: thin,
 * 64 bits, little-endian, which is all that Node publishes for macOS. Layouts are from <mach-o/loader.h>.
 */

export const HEADER_SIZE = 32;
const MAGIC = 0xfeedfacf; // MH_MAGIC_64
const SEGMENT_SIZE = 72; // struct segment_command_64, without its sections
const SECTION_SIZE = 80; // struct section_64

export const CPU_X86_64 = 0x0100_0007;
export const CPU_ARM64 = 0x0100_000c;

export const LC_SEGMENT_64 = 0x19;
export const LC_CODE_SIGNATURE = 0x1d;

export interface Command {
  /** LC_… */
  readonly kind: number;
  /** Where it begins in the file. */
  readonly at: number;
  /** A view of the file. */
  readonly bytes: Buffer;
}

export interface Section {
  readonly name: string;
  readonly fileOffset: number;
  readonly size: number;
}

export interface Segment {
  readonly name: string;
  readonly command: Command;
  /** In memory, as the size is too. */
  readonly address: bigint;
  readonly size: number;
  readonly fileOffset: number;
  readonly fileSize: number;
  readonly sections: readonly Section[];
}

export interface MachO {
  readonly file: Buffer;
  readonly cpu: number;
  readonly commands: readonly Command[];
  readonly segments: readonly Segment[];
  /** Where the load commands end. */
  readonly commandsEnd: number;
  /** Where the first section's bytes begin: load commands may grow up to here. */
  readonly commandsLimit: number;
}

/** Throws Error for anything that is not such a file. */
export function readMachO(file: Buffer): MachO {
  if (file.length < HEADER_SIZE || file.readUInt32LE(0) !== MAGIC) {
    throw new Error("not a Mach-O file of 64 bits for one processor");
  }
  const commandsEnd = HEADER_SIZE + file.readUInt32LE(20);
  const commands: Command[] = [];
  let at = HEADER_SIZE;
  for (let count = file.readUInt32LE(16); count > 0; count--) {
    const size = file.readUInt32LE(at + 4);
    if (size < 8 || at + size > commandsEnd) throw new Error(`the load command at ${at} has ${size} bytes`);
    commands.push({ kind: file.readUInt32LE(at), at, bytes: file.subarray(at, at + size) });
    at += size;
  }
  if (at !== commandsEnd) throw new Error(`the load commands end at ${at}, not at ${commandsEnd}`);
  const segments = commands.filter(({ kind }) => kind === LC_SEGMENT_64).map(readSegment);
  const offsets = segments.flatMap(({ sections }) => sections.map(({ fileOffset }) => fileOffset));
  const commandsLimit = Math.min(file.length, ...offsets.filter((offset) => offset > 0));
  return { file, cpu: file.readUInt32LE(4), commands, segments, commandsEnd, commandsLimit };
}

/** Throws Error where there is none. */
export function findSegment({ segments }: MachO, name: string): Segment {
  const found = segments.find((segment) => segment.name === name);
  if (found === undefined) throw new Error(`there is no segment ${name}`);
  return found;
}

export function findCommand({ commands }: MachO, kind: number): Command | undefined {
  return commands.find((command) => command.kind === kind);
}

function readSegment(command: Command): Segment {
  const { bytes } = command;
  const sections = Array.from({ length: bytes.readUInt32LE(64) }, (_, index) => {
    const at = SEGMENT_SIZE + SECTION_SIZE * index;
    return { name: name(bytes, at), fileOffset: bytes.readUInt32LE(at + 48), size: number64(bytes, at + 40) };
  });
  return {
    name: name(bytes, 8),
    command,
    address: bytes.readBigUInt64LE(24),
    size: number64(bytes, 32),
    fileOffset: number64(bytes, 40),
    fileSize: number64(bytes, 48),
    sections,
  };
}

function number64(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

/** 16 bytes, filled with zeros. */
function name(bytes: Buffer, at: number): string {
  return bytes.toString("latin1", at, at + 16).replace(/\0.*$/s, "");
}
