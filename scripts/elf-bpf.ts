/**
 * Reads what `clang -target bpf` writes (ELF, 64 bits, little-endian): programs in sections "tc/…", and what has to be filled
 * in when they are loaded: maps of the section "maps", functions of the kernel, and places of members in the kernel's own
 * structures (src/lane/bpf/fields.h). Nothing else may be in it.
 */
import type { MapDefinition } from "../src/native/linux/bpf.ts";

export interface CompiledProgram {
  readonly name: string;
  /** Instructions of 8 bytes. */
  readonly code: Buffer;
  /** Which instruction wants a map's descriptor, in order. */
  readonly maps: readonly { readonly at: number; readonly map: string }[];
  /** Which instruction calls a function of the kernel. */
  readonly calls: readonly { readonly at: number; readonly name: string }[];
  /** Which instruction loads the place of a member, by the number that fields.h gives it. */
  readonly fields: readonly { readonly at: number; readonly field: number }[];
}

export interface Compiled {
  /** What the section "license" says; empty where there is none. */
  readonly license: string;
  readonly maps: readonly MapDefinition[];
  readonly programs: readonly CompiledProgram[];
}

/** Offsets in the headers of the file, of a section, of a symbol and of a relocation (elf(5)). */
const FILE = { sections: 40, sectionSize: 58, sectionCount: 60, names: 62 } as const;
const SECTION = { name: 0, type: 4, offset: 24, size: 32, link: 40, info: 44 } as const;
const SYMBOL = { size: 24, name: 0, section: 6, value: 8 } as const;
const RELOCATION = { size: 16, offset: 0, symbol: 12, type: 8 } as const;
const SYMBOLS = 2;
const RELOCATIONS = 9;
/** A 64-bit constant: two instructions, into the first of which a map's descriptor goes. */
const R_BPF_64_64 = 1;
/** A call. */
const R_BPF_64_32 = 10;
/** An instruction: its size, `register = constant`, and where the constant is. */
const INSTRUCTION = { size: 8, loadsConstant: 0xb7, constant: 4 } as const;
/** fields.h: the upper half of such a constant, and the lower. */
const PLACE = { mark: 0x50f7, mask: 0xffff } as const;
const MAP_WORDS = 5;

interface Section {
  readonly name: string;
  readonly type: number;
  readonly link: number;
  readonly info: number;
  readonly bytes: Buffer;
}

interface Symbol {
  readonly name: string;
  readonly section: number;
  readonly value: number;
}

/** Throws Error for a relocation of another kind. */
export function readCompiled(file: Buffer): Compiled {
  const sections = readSections(file);
  const symbols = readSymbols(sections);
  const mapsAt = sections.findIndex(({ name }) => name === "maps");
  const maps = symbols
    .filter(({ section, name }) => section === mapsAt && mapsAt >= 0 && name !== "")
    .map(({ name, value }) => readMap(name, sections[mapsAt]!.bytes, value));
  const programs = sections.flatMap(({ name, bytes }, index) => {
    if (!name.startsWith("tc/")) return [];
    return {
      name: name.slice(3),
      code: bytes,
      ...readPlaces(sections, index, symbols, mapsAt),
      fields: readFields(bytes),
    };
  });
  const license = sections.find(({ name }) => name === "license");
  return { license: license === undefined ? "" : textAt(license.bytes, 0), maps, programs };
}

function readFields(code: Buffer): CompiledProgram["fields"] {
  const fields: { at: number; field: number }[] = [];
  for (let at = 0; at < code.length; at += INSTRUCTION.size) {
    if (code[at] !== INSTRUCTION.loadsConstant) continue;
    const constant = code.readUInt32LE(at + INSTRUCTION.constant);
    if (constant >>> 16 === PLACE.mark) fields.push({ at: at / INSTRUCTION.size, field: constant & PLACE.mask });
  }
  return fields;
}

function readSections(file: Buffer): Section[] {
  const start = Number(file.readBigUInt64LE(FILE.sections));
  const size = file.readUInt16LE(FILE.sectionSize);
  const headers = Array.from({ length: file.readUInt16LE(FILE.sectionCount) }, (_, index) =>
    file.subarray(start + index * size, start + (index + 1) * size),
  );
  const bytesOf = (header: Buffer): Buffer => {
    const offset = Number(header.readBigUInt64LE(SECTION.offset));
    return file.subarray(offset, offset + Number(header.readBigUInt64LE(SECTION.size)));
  };
  const names = bytesOf(headers[file.readUInt16LE(FILE.names)]!);
  return headers.map((header) => ({
    name: textAt(names, header.readUInt32LE(SECTION.name)),
    type: header.readUInt32LE(SECTION.type),
    link: header.readUInt32LE(SECTION.link),
    info: header.readUInt32LE(SECTION.info),
    bytes: bytesOf(header),
  }));
}

function readSymbols(sections: readonly Section[]): Symbol[] {
  const table = sections.find(({ type }) => type === SYMBOLS);
  if (table === undefined) throw new Error("the object file has no symbols");
  const names = sections[table.link]!.bytes;
  return Array.from({ length: table.bytes.length / SYMBOL.size }, (_, index) => {
    const symbol = table.bytes.subarray(index * SYMBOL.size);
    return {
      name: textAt(names, symbol.readUInt32LE(SYMBOL.name)),
      section: symbol.readUInt16LE(SYMBOL.section),
      value: Number(symbol.readBigUInt64LE(SYMBOL.value)),
    };
  });
}

function readMap(name: string, bytes: Buffer, at: number): MapDefinition {
  const words = Array.from({ length: MAP_WORDS }, (_, index) => bytes.readUInt32LE(at + index * 4));
  const [type = 0, keySize = 0, valueSize = 0, entries = 0, flags = 0] = words;
  return { name, type, keySize, valueSize, entries, flags };
}

function readPlaces(
  sections: readonly Section[],
  program: number,
  symbols: readonly Symbol[],
  mapsAt: number,
): Pick<CompiledProgram, "maps" | "calls"> {
  const maps: { at: number; map: string }[] = [];
  const calls: { at: number; name: string }[] = [];
  for (const { at, symbol, type } of relocations(sections, program, symbols)) {
    const { name, section } = symbol;
    if (type === R_BPF_64_64 && section === mapsAt && mapsAt >= 0) maps.push({ at, map: name });
    else if (type === R_BPF_64_32 && section === 0) calls.push({ at, name });
    else throw new Error(`${sections[program]!.name} needs ${name || "something"} when it is loaded`);
  }
  return { maps: maps.toSorted((a, b) => a.at - b.at), calls: calls.toSorted((a, b) => a.at - b.at) };
}

function relocations(
  sections: readonly Section[],
  program: number,
  symbols: readonly Symbol[],
): { readonly at: number; readonly symbol: Symbol; readonly type: number }[] {
  return sections
    .filter(({ type, info }) => type === RELOCATIONS && info === program)
    .flatMap(({ bytes }) =>
      Array.from({ length: bytes.length / RELOCATION.size }, (_, index) => {
        const relocation = bytes.subarray(index * RELOCATION.size);
        return {
          at: Number(relocation.readBigUInt64LE(RELOCATION.offset)) / INSTRUCTION.size,
          symbol: symbols[relocation.readUInt32LE(RELOCATION.symbol)]!,
          type: relocation.readUInt32LE(RELOCATION.type),
        };
      }),
    );
}

function textAt(names: Buffer, at: number): string {
  return names.toString("latin1", at, names.indexOf(0, at));
}
