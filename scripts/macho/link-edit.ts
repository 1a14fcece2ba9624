/**
 * What the segment __LINKEDIT of an executable says, whatever order and padding it says it in: symbols, exports, imports
 * and fixups (the pointers that the loader corrects, chained through the data), where functions start. Layouts are from
 * <mach-o/loader.h>, <mach-o/nlist.h> and <mach-o/fixup-chains.h>.
 */
import { type Command, findCommand, type MachO } from "./file.ts";

const LC_SYMTAB = 0x2;
const LC_DYSYMTAB = 0xb;
const LC_FUNCTION_STARTS = 0x26;
const LC_DATA_IN_CODE = 0x29;
const LC_DYLD_EXPORTS_TRIE = 0x8000_0033;
const LC_DYLD_CHAINED_FIXUPS = 0x8000_0034;

/** Where a command has an offset or a size within __LINKEDIT: from and to. Numbers of symbols are none. */
const PLACES: ReadonlyMap<number, readonly [number, number][]> = new Map([
  [
    LC_SYMTAB,
    [
      [8, 12],
      [16, 24],
    ],
  ],
  [LC_DYSYMTAB, [[56, 60]]],
  [LC_FUNCTION_STARTS, [[8, 16]]],
  [LC_DATA_IN_CODE, [[8, 16]]],
  [LC_DYLD_EXPORTS_TRIE, [[8, 16]]],
  [LC_DYLD_CHAINED_FIXUPS, [[8, 16]]],
]);

const SYMBOL_SIZE = 16; // struct nlist_64
const IMPORT_SIZE = 4; // struct dyld_chained_import
const FORMAT_IMPORT = 1; // DYLD_CHAINED_IMPORT

export function isLinkEditCommand({ kind }: Command): boolean {
  return PLACES.has(kind);
}

/** The command with these places as zeros. */
export function comparableCommand({ kind, bytes }: Command): Buffer {
  const copy = Buffer.from(bytes);
  for (const [from, to] of PLACES.get(kind) ?? []) copy.fill(0, from, to);
  return copy;
}

/** Both have the same commands. Names the first difference; undefined where there is none. */
export function linkEditDifference(before: MachO, after: MachO): string | undefined {
  const parts: readonly [string, (macho: MachO, other: MachO) => boolean][] = [
    ["function starts", (one, other) => samePadded(blob(one, LC_FUNCTION_STARTS), blob(other, LC_FUNCTION_STARTS))],
    ["data in code", (one, other) => samePadded(blob(one, LC_DATA_IN_CODE), blob(other, LC_DATA_IN_CODE))],
    ["indirect symbols", (one, other) => indirectSymbols(one).equals(indirectSymbols(other))],
    ["symbols", sameSymbols],
    ["exports", (one, other) => sameTexts(exportsOf(one), exportsOf(other))],
    ["imports", (one, other) => sameTexts(importsOf(one), importsOf(other))],
    ["fixups", sameFixups],
  ];
  const [name] = parts.find(([, same]) => !same(before, after)) ?? [];
  return name === undefined ? undefined : `the ${name} differ`;
}

function blob(macho: MachO, kind: number): Buffer {
  const bytes = findCommand(macho, kind)?.bytes;
  if (bytes === undefined) return Buffer.alloc(0);
  const at = bytes.readUInt32LE(8);
  return macho.file.subarray(at, at + bytes.readUInt32LE(12));
}

/** Whether they are the same but for zeros at the end. */
function samePadded(one: Buffer, other: Buffer): boolean {
  const [short, long] = one.length < other.length ? [one, other] : [other, one];
  return long.subarray(0, short.length).equals(short) && long.subarray(short.length).every((byte) => byte === 0);
}

function indirectSymbols(macho: MachO): Buffer {
  const bytes = findCommand(macho, LC_DYSYMTAB)?.bytes;
  if (bytes === undefined) return Buffer.alloc(0);
  const at = bytes.readUInt32LE(56);
  return macho.file.subarray(at, at + 4 * bytes.readUInt32LE(60));
}

function sameSymbols(before: MachO, after: MachO): boolean {
  const [one, other] = [symbolTable(before), symbolTable(after)];
  for (let index = 0; index < one.count; index++) {
    const [a, b] = [one.at + SYMBOL_SIZE * index, other.at + SYMBOL_SIZE * index];
    // All but the name's place: type, section, description and value.
    if (before.file.readUInt32LE(a + 4) !== after.file.readUInt32LE(b + 4)) return false;
    if (before.file.readBigUInt64LE(a + 8) !== after.file.readBigUInt64LE(b + 8)) return false;
    let first = one.names + before.file.readUInt32LE(a);
    let second = other.names + after.file.readUInt32LE(b);
    while (before.file[first] === after.file[second] && before.file[first] !== 0) {
      first++;
      second++;
    }
    if (before.file[first] !== after.file[second]) return false;
  }
  return one.count === other.count;
}

function symbolTable(macho: MachO) {
  const bytes = findCommand(macho, LC_SYMTAB)?.bytes ?? Buffer.alloc(24);
  return { at: bytes.readUInt32LE(8), count: bytes.readUInt32LE(12), names: bytes.readUInt32LE(16) };
}

/** Each exported name with what the trie says of it. */
function exportsOf(macho: MachO): Map<string, string> {
  const trie = blob(macho, LC_DYLD_EXPORTS_TRIE);
  const found = new Map<string, string>();
  const nodes: [at: number, prefix: string][] = trie.length > 0 ? [[0, ""]] : [];
  for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
    const [start, prefix] = node;
    const [size, terminal] = readUleb(trie, start);
    if (size > 0) found.set(prefix, trie.toString("hex", terminal, terminal + size));
    let at = terminal + size;
    for (let children = trie[at++] ?? 0; children > 0; children--) {
      const end = trie.indexOf(0, at);
      const edge = trie.toString("latin1", at, end);
      const [child, next] = readUleb(trie, end + 1);
      nodes.push([child, prefix + edge]);
      at = next;
    }
    if (nodes.length > trie.length) throw new Error("the exports are no tree");
  }
  return found;
}

/** A number of seven bits a byte, the lowest first, and where it ends. */
function readUleb(bytes: Buffer, start: number): [value: number, end: number] {
  let value = 0;
  for (let at = start; at < bytes.length && at < start + 7; at++) {
    value += (bytes[at]! & 0x7f) * 2 ** (7 * (at - start));
    if (bytes[at]! < 0x80) return [value, at + 1];
  }
  throw new Error(`the exports have no number at ${start}`);
}

/** Each import by its place in the list: library, weakness and name. */
function importsOf(macho: MachO): Map<string, string> {
  const fixups = blob(macho, LC_DYLD_CHAINED_FIXUPS);
  const found = new Map<string, string>();
  if (fixups.length === 0) return found;
  const [imports, names, count, format] = [8, 12, 16, 20].map((at) => fixups.readUInt32LE(at)) as [
    number,
    number,
    number,
    number,
  ];
  if (format !== FORMAT_IMPORT) throw new Error(`the imports have the format ${format}, not ${FORMAT_IMPORT}`);
  for (let index = 0; index < count; index++) {
    const word = fixups.readUInt32LE(imports + IMPORT_SIZE * index);
    const at = names + (word >>> 9);
    found.set(String(index), `${word & 0x1ff} ${fixups.toString("latin1", at, fixups.indexOf(0, at))}`);
  }
  return found;
}

/** Where the chains of each segment start. A segment more has none. */
function sameFixups(before: MachO, after: MachO): boolean {
  const [one, other] = [fixupStarts(before), fixupStarts(after)];
  return other.every((starts, segment) => starts.equals(one[segment] ?? Buffer.alloc(0))) && one.length <= other.length;
}

function fixupStarts(macho: MachO): Buffer[] {
  const fixups = blob(macho, LC_DYLD_CHAINED_FIXUPS);
  if (fixups.length === 0) return [];
  const image = fixups.readUInt32LE(4);
  return Array.from({ length: fixups.readUInt32LE(image) }, (_, segment) => {
    const offset = fixups.readUInt32LE(image + 4 + 4 * segment);
    const at = image + offset;
    return offset === 0 ? Buffer.alloc(0) : fixups.subarray(at, at + fixups.readUInt32LE(at));
  });
}

function sameTexts(one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean {
  return one.size === other.size && [...one].every(([key, value]) => other.get(key) === value);
}
