/**
 * Reads the kernel's description of its own types (BTF, kernel documentation, bpf/btf): where a member is in a structure,
 * and the number of a function. Numbers are in the machine's byte order, which is little-endian.
 */

/** struct btf_header, bytes. */
const HEADER = { size: 24, magic: 0, length: 4, types: 8, typesLength: 12, strings: 16, stringsLength: 20 } as const;
const MAGIC = 0xeb9f;
/** Words of struct btf_type: name, info, size or type. */
const TYPE = { size: 3, name: 0, info: 1 } as const;
/** Words of struct btf_member: name, type, offset. */
const MEMBER = { size: 3, name: 0, type: 1, offset: 2 } as const;

const INT = 1;
const ARRAY = 3;
const STRUCT = 4;
const UNION = 5;
const ENUM = 6;
const FUNC = 12;
const FUNC_PROTO = 13;
const VAR = 14;
const DATASEC = 15;
const DECL_TAG = 17;
const ENUM64 = 19;

/** The newest kind that is known: behind another one nothing can be read. */
const LAST_KIND = ENUM64;
/** Words behind a type's first ones, by its kind: always, and for each of its parts. */
const ALWAYS = new Uint8Array(LAST_KIND + 1);
const EACH = new Uint8Array(LAST_KIND + 1);
for (const kind of [INT, VAR, DECL_TAG]) ALWAYS[kind] = 1;
ALWAYS[ARRAY] = 3;
for (const kind of [STRUCT, UNION, DATASEC, ENUM64]) EACH[kind] = 3;
for (const kind of [ENUM, FUNC_PROTO]) EACH[kind] = 2;

/** Structures within structures that a name is looked for in, one in the other. */
const DEEPEST = 8;

export class KernelBtf {
  /** All types, as words. */
  readonly #words: Uint32Array;
  readonly #strings: Buffer;
  /** At which word a type stands, by its number; numbers begin with 1. */
  readonly #places: Uint32Array;
  #count = 1;

  /** Throws Error for anything that is no such description, or a newer form of it. */
  constructor(bytes: Buffer) {
    if (bytes.length < HEADER.size || bytes.readUInt16LE(HEADER.magic) !== MAGIC) throw new Error("this is no BTF");
    const start = bytes.readUInt32LE(HEADER.length);
    const strings = start + bytes.readUInt32LE(HEADER.strings);
    this.#strings = bytes.subarray(strings, strings + bytes.readUInt32LE(HEADER.stringsLength));
    const types = start + bytes.readUInt32LE(HEADER.types);
    const length = Math.min(bytes.length - types, bytes.readUInt32LE(HEADER.typesLength));
    this.#words = new Uint32Array(Uint8Array.prototype.slice.call(bytes, types, types + length - (length % 4)).buffer);
    this.#places = new Uint32Array(this.#words.length / TYPE.size + 1);
    this.#scan();
  }

  #scan(): void {
    const words = this.#words;
    const end = words.length - TYPE.size;
    for (let at = 0; at <= end; ) {
      const info = words[at + TYPE.info]!;
      const kind = kindOf(info);
      if (kind === 0 || kind > LAST_KIND) throw new Error(`the kernel describes types of an unknown kind, ${kind}`);
      this.#places[this.#count++] = at;
      at += TYPE.size + ALWAYS[kind]! + EACH[kind]! * partsOf(info);
    }
  }

  /** The number of a function of the kernel's; undefined where there is none. */
  functionNumber(name: string): number | undefined {
    return this.#find(FUNC, name);
  }

  /** Bits from the beginning of a structure to a member, also of an unnamed part of it; undefined where there is none. */
  bitOffset(structure: string, member: string): number | undefined {
    const number = this.#find(STRUCT, structure);
    const name = this.#nameOffset(member);
    return number === undefined || name === undefined ? undefined : this.#memberOf(number, name, DEEPEST);
  }

  #memberOf(number: number, name: number, depth: number): number | undefined {
    if (number <= 0 || number >= this.#count || depth === 0) return undefined;
    const words = this.#words;
    const at = this.#places[number]!;
    const info = words[at + TYPE.info]!;
    const kind = kindOf(info);
    if (kind !== STRUCT && kind !== UNION) return undefined;
    const hasBitfields = info >>> 31 !== 0;
    for (let index = 0; index < partsOf(info); index++) {
      const member = at + TYPE.size + index * MEMBER.size;
      const called = words[member + MEMBER.name]!;
      const offset = words[member + MEMBER.offset]!;
      const bits = hasBitfields ? offset & 0xffffff : offset;
      if (called === name) return bits;
      if (called !== 0) continue;
      const within = this.#memberOf(words[member + MEMBER.type]!, name, depth - 1);
      if (within !== undefined) return bits + within;
    }
    return undefined;
  }

  #find(kind: number, name: string): number | undefined {
    const offset = this.#nameOffset(name);
    if (offset === undefined) return undefined;
    const words = this.#words;
    for (let number = 1; number < this.#count; number++) {
      const at = this.#places[number]!;
      if (words[at + TYPE.name] === offset && kindOf(words[at + TYPE.info]!) === kind) return number;
    }
    return undefined;
  }

  /** Each name stands once among the strings. */
  #nameOffset(name: string): number | undefined {
    const at = this.#strings.indexOf(`\0${name}\0`, 0, "latin1");
    return at < 0 ? undefined : at + 1;
  }
}

function kindOf(info: number): number {
  return (info >>> 24) & 0x1f;
}

/** How many members, values or parameters a type has. */
function partsOf(info: number): number {
  return info & 0xffff;
}
