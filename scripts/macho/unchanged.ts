/**
 * Whether an executable that `node --build-sea` made still is the runtime that it was made from. The builder's library
 * puts a load command into the header. Where there is too little room for it, it moves the whole program by a page, and
 * does not correct every offset in it: then constructors start in the middle of other code and the program ends with
 * SIGSEGV before its first statement. The executables for macOS are made on machines that cannot start them, so this is
 * found by comparing.
 *
 * What may differ, and nothing else: one segment more, with softnet's code in it; one byte, which says so to the runtime
 * (the fuse); the runtime's signature, which is gone; and how the last segment, __LINKEDIT, is laid out
 * (link-edit.ts), but not what it says.
 */
import {
  type Command,
  findSegment,
  HEADER_SIZE,
  LC_CODE_SIGNATURE,
  LC_SEGMENT_64,
  type MachO,
  readMachO,
  type Segment,
} from "./file.ts";
import { comparableCommand, isLinkEditCommand, linkEditDifference } from "./link-edit.ts";

/** The segment that is added. */
const ADDED = "NODE_SEA";
/** What the runtime looks for its program by; behind it are ":0", or ":1" where one is there. */
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:";

/** Throws Error that names the first difference that must not be. */
export function refuseChanged(runtime: Buffer, made: Buffer): void {
  const why = difference(readMachO(runtime), readMachO(made));
  if (why !== undefined) {
    throw new Error(
      `node --build-sea has changed the runtime itself (${why}): such an executable does not start. Use another runtime (packaging/runtimes.json)`,
    );
  }
}

function difference(before: MachO, after: MachO): string | undefined {
  return (
    headerDifference(before, after) ??
    commandDifference(before, after) ??
    bytesDifference(before, after) ??
    addedDifference(before, after) ??
    linkEditDifference(before, after)
  );
}

/** The header but for the number and the size of the load commands. */
function headerDifference(before: MachO, after: MachO): string | undefined {
  const same = (from: number, to: number) => before.file.subarray(from, to).equals(after.file.subarray(from, to));
  return same(0, 16) && same(24, HEADER_SIZE) ? undefined : "the header differs";
}

/** The load commands in their order, without the segment that is added and the signature that is gone. */
function commandDifference(before: MachO, after: MachO): string | undefined {
  const kept = ({ commands }: MachO) =>
    commands.filter((command) => !isAdded(command) && command.kind !== LC_CODE_SIGNATURE);
  const [old, now] = [kept(before), kept(after)];
  if (old.length !== now.length) return `${old.length} load commands have become ${now.length}`;
  const index = old.findIndex((command, at) => !comparable(command).equals(comparable(now[at]!)));
  if (index < 0) return undefined;
  return `${nameOf(old[index]!)} has moved or differs`;
}

function isAdded({ kind, bytes }: Command): boolean {
  return kind === LC_SEGMENT_64 && segmentName(bytes) === ADDED;
}

/** A command without what only says where something is in __LINKEDIT. */
function comparable(command: Command): Buffer {
  if (command.kind !== LC_SEGMENT_64) return isLinkEditCommand(command) ? comparableCommand(command) : command.bytes;
  if (segmentName(command.bytes) !== "__LINKEDIT") return command.bytes;
  const bytes = Buffer.from(command.bytes);
  return bytes.fill(0, 24, 56); // address and size, in memory and in the file
}

function nameOf({ kind, bytes }: Command): string {
  return kind === LC_SEGMENT_64 ? `the segment ${segmentName(bytes)}` : `the load command 0x${kind.toString(16)}`;
}

function segmentName(bytes: Buffer): string {
  return bytes.toString("latin1", 8, 24).replace(/\0.*$/s, "");
}

/** All bytes of the segments, from the first one behind the load commands on, but for the fuse. */
function bytesDifference(before: MachO, after: MachO): string | undefined {
  const fuse = before.file.indexOf(FUSE) + FUSE.length;
  if (fuse < FUSE.length || before.file[fuse] !== 0x30) return "the runtime has no fuse";
  if (after.file[fuse] !== 0x31) return "the fuse is not set";
  for (const segment of before.segments.filter(({ name }) => name !== "__LINKEDIT")) {
    const at = firstDifference(before, after, segment, fuse);
    if (at !== undefined) return `byte ${at} of the file, in the segment ${segment.name}, differs`;
  }
  return undefined;
}

function firstDifference(before: MachO, after: MachO, { fileOffset, fileSize }: Segment, fuse: number) {
  const [from, to] = [fileOffset, fileOffset + fileSize];
  const begin = Math.max(from, before.commandsLimit);
  // What is left of the room for load commands is zeros in both.
  const room = after.file.subarray(after.commandsEnd, before.commandsLimit).findIndex((byte) => byte !== 0);
  if (from === 0 && (after.commandsEnd > before.commandsLimit || room >= 0))
    return after.commandsEnd + Math.max(room, 0);
  for (const [start, end] of begin <= fuse && fuse < to
    ? [
        [begin, fuse],
        [fuse + 1, to],
      ]
    : [[begin, to]]) {
    const [old, now] = [before.file.subarray(start, end), after.file.subarray(start, end)];
    if (!old.equals(now)) return start! + old.findIndex((byte, index) => byte !== now[index]);
  }
  return undefined;
}

/** The added segment lies between what was last before __LINKEDIT and that, in memory and in the file. */
function addedDifference(before: MachO, after: MachO): string | undefined {
  const [added, linkEdit] = [after.segments.at(-2), after.segments.at(-1)];
  if (added?.name !== ADDED || linkEdit?.name !== "__LINKEDIT")
    return `${ADDED} and __LINKEDIT are not the last segments`;
  const { address, fileOffset } = findSegment(before, "__LINKEDIT");
  if (added.address !== address || added.fileOffset !== fileOffset)
    return `the segment ${ADDED} is not where __LINKEDIT was`;
  if (linkEdit.address !== address + BigInt(added.size)) return "__LINKEDIT does not follow in memory";
  if (linkEdit.fileOffset < fileOffset + added.fileSize) return `__LINKEDIT begins before ${ADDED} ends`;
  return linkEdit.fileOffset + linkEdit.fileSize === after.file.length ? undefined : "__LINKEDIT does not end the file";
}
