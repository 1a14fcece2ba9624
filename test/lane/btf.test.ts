/** The kernel's description of its own types: what is found in one that is written here, and in the running kernel's. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { KernelBtf } from "../../src/lane/btf.ts";
import { readKernelTypes } from "../../src/lane/kernel-types.ts";

const KERNEL = "/sys/kernel/btf/vmlinux";
const [INT, STRUCT, UNION, FUNC] = [1, 4, 5, 12];

interface Member {
  readonly name: string;
  readonly type: number;
  readonly bits: number;
  readonly width?: number;
}

/** Writes a description (kernel documentation, bpf/btf). */
class Writer {
  readonly #words: number[] = [];
  #strings = "\0";
  #count = 0;

  /** Returns the type's number. */
  add(kind: number, name: string, more: readonly number[], parts = 0, bitfields = false): number {
    this.#words.push(this.#name(name), ((kind << 24) | parts | (bitfields ? 1 << 31 : 0)) >>> 0, 0, ...more);
    return ++this.#count;
  }

  structure(kind: number, name: string, members: readonly Member[]): number {
    const bitfields = members.some(({ width }) => width !== undefined);
    const more = members.flatMap((one) => [
      this.#name(one.name),
      one.type,
      bitfields ? (((one.width ?? 0) << 24) | one.bits) >>> 0 : one.bits,
    ]);
    return this.add(kind, name, more, members.length, bitfields);
  }

  bytes(): Buffer {
    const types = Buffer.from(Uint32Array.from(this.#words).buffer);
    const strings = Buffer.from(this.#strings, "latin1");
    const header = Buffer.alloc(24);
    header.writeUInt16LE(0xeb9f);
    header[2] = 1;
    for (const [index, value] of [24, 0, types.length, types.length, strings.length].entries()) {
      header.writeUInt32LE(value, 4 + index * 4);
    }
    return Buffer.concat([header, types, strings]);
  }

  #name(text: string): number {
    if (text === "") return 0;
    const known = this.#strings.indexOf(`\0${text}\0`);
    if (known >= 0) return known + 1;
    const at = this.#strings.length;
    this.#strings += `${text}\0`;
    return at;
  }
}

function example(): Buffer {
  const writer = new Writer();
  const int = writer.add(INT, "int", [32]);
  const within = writer.structure(STRUCT, "", [
    { name: "start", type: int, bits: 0 },
    { name: "offset", type: int, bits: 32 },
  ]);
  const union = writer.structure(UNION, "", [
    { name: "whole", type: int, bits: 0 },
    { name: "", type: within, bits: 0 },
  ]);
  writer.structure(STRUCT, "packet", [
    { name: "first", type: int, bits: 0 },
    { name: "", type: union, bits: 64 },
  ]);
  writer.structure(STRUCT, "flags", [
    { name: "before", type: int, bits: 0 },
    { name: "two", type: int, bits: 37, width: 2 },
  ]);
  writer.add(FUNC, "packet", []);
  return writer.bytes();
}

test("a member's place is found, also in unnamed parts and among bit fields; a function by its kind, not its name alone", () => {
  const btf = new KernelBtf(example());
  assert.equal(btf.bitOffset("packet", "first"), 0);
  assert.equal(btf.bitOffset("packet", "start"), 64);
  assert.equal(btf.bitOffset("packet", "offset"), 96);
  assert.equal(btf.bitOffset("packet", "whole"), 64);
  assert.equal(btf.bitOffset("flags", "two"), 37);
  assert.equal(btf.functionNumber("packet"), 6);
});

test("what is not there is not found", () => {
  const btf = new KernelBtf(example());
  assert.equal(btf.bitOffset("packet", "two"), undefined);
  assert.equal(btf.bitOffset("nothing", "first"), undefined);
  assert.equal(btf.bitOffset("int", "first"), undefined);
  assert.equal(btf.functionNumber("flags"), undefined);
  assert.equal(btf.functionNumber("first"), undefined);
});

test("something else, a form that is not known, and one that is cut short are refused or have less in them", () => {
  assert.throws(() => new KernelBtf(Buffer.alloc(64)), /this is no BTF/);
  assert.throws(() => new KernelBtf(Buffer.alloc(3)), /this is no BTF/);
  const unknown = new Writer();
  unknown.add(31, "newer", []);
  assert.throws(() => new KernelBtf(unknown.bytes()), /unknown kind, 31/);
  const whole = example();
  for (let length = 24; length < whole.length; length++) {
    const btf = new KernelBtf(Buffer.from(whole.subarray(0, length)));
    assert.doesNotThrow(() => btf.bitOffset("packet", "start"));
  }
});

test("the running kernel says where what the lane needs is, or in a few words why not", {
  skip: !existsSync(KERNEL),
}, () => {
  const types = readKernelTypes();
  if (typeof types === "string") return assert.match(types, /^the kernel /);
  assert.equal(types.fields.length, 8);
  const [head, data, end, start, offset, summed, shift, gsoType] = types.fields as [number, ...number[]];
  // In struct sk_buff head and data are pointers side by side, and the two halves of a checksum's place are, too.
  assert.equal(data, head + 8);
  assert.equal(offset, start! + 2);
  assert.ok(end! < head && summed! < 256 && shift! < 7 && gsoType! < 64);
  const btf = new KernelBtf(readFileSync(KERNEL));
  assert.equal(btf.bitOffset("sk_buff", "len")! % 32, 0);
});
