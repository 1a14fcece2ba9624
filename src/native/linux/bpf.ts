/**
 * Small eBPF programs for traffic control (bpf(2), linux/bpf.h): assembled here, word by word, so that nothing has to be
 * compiled. A program sees `struct __sk_buff` in register 1 and returns in register 0.
 */
import { allocate } from "../memory.ts";
import { describeError, EAGAIN } from "./errno.ts";
import type { LinuxLibc } from "./libc.ts";

const BPF_MAP_CREATE = 0;
const BPF_MAP_UPDATE_ELEM = 2;
const BPF_PROG_LOAD = 5;
const BPF_OBJ_GET_INFO_BY_FD = 15;
const BPF_MAP_FREEZE = 22;
const BPF_PROG_TYPE_SCHED_CLS = 3;

/** In the register's place of a 64-bit constant: the constant is a map's descriptor. */
export const BPF_PSEUDO_MAP_FD = 1;

/** The kernel's verifier gives up with EAGAIN when a signal comes for the thread; the next attempt comes behind that. */
const MOST_ATTEMPTS = 20;

/** union bpf_attr, as BPF_PROG_LOAD, BPF_MAP_CREATE, BPF_MAP_UPDATE_ELEM and BPF_OBJ_GET_INFO_BY_FD read it. */
const ATTRIBUTES = { size: 72, type: 0, count: 4, instructions: 8, license: 16, name: 48 } as const;
const MAP = { size: 44, type: 0, keySize: 4, valueSize: 8, entries: 12, flags: 16, name: 28 } as const;
const ELEMENT = { size: 32, map: 0, key: 8, value: 16 } as const;
const OBJECT_INFO = { size: 16, descriptor: 0, length: 4, info: 8 } as const;
/** struct bpf_prog_info: all of it that is of interest is at its beginning. */
const PROGRAM_INFO = { size: 80, id: 4 } as const;
/** Without the final zero byte. */
const LONGEST_NAME = 15;

/** Offset of the firewall mark in struct __sk_buff. */
export const SKB_MARK = 8;

/** What a traffic control program returns (linux/pkt_cls.h). */
export const TC_ACT_OK = 0;
/** Leaves the packet to the next filter; passes it where there is none. */
export const TC_ACT_UNSPEC = -1;
export const TC_ACT_SHOT = 2;

/** One instruction of 8 bytes: operation, destination and source register, offset, immediate value. */
function instruction(operation: number, destination: number, source: number, offset: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes[0] = operation;
  bytes[1] = destination | (source << 4);
  bytes.writeInt16LE(offset, 2);
  bytes.writeInt32LE(value | 0, 4);
  return bytes;
}

/** register = the 32 bits at context + offset */
export const load = (register: number, offset: number): Buffer => instruction(0x61, register, 1, offset, 0);
/** the 32 bits at context + offset = register */
export const store = (offset: number, register: number): Buffer => instruction(0x63, 1, register, offset, 0);
/** register &= value, 32 bits */
export const and = (register: number, value: number): Buffer => instruction(0x54, register, 0, 0, value);
/** register |= value, 32 bits */
export const or = (register: number, value: number): Buffer => instruction(0x44, register, 0, 0, value);
/** Skips `count` instructions unless register = value. */
export const skipUnless = (register: number, value: number, count: number): Buffer =>
  instruction(0x55, register, 0, count, value);
/** Ends the program with this answer: two instructions. */
export const answer = (value: number): Buffer =>
  Buffer.concat([instruction(0xb7, 0, 0, 0, value), instruction(0x95, 0, 0, 0, 0)]);

/** Loads a program and returns its descriptor; the caller closes it. Throws Error when the kernel refuses. */
export function loadProgram(libc: LinuxLibc, ...instructions: readonly Buffer[]): number {
  return loadNamedProgram(libc, "softnet", Buffer.concat(instructions));
}

/**
 * The same; `name` is what the kernel calls it: letters, digits and "_", of which the first 15 count. `terms`: the licence,
 * in the kernel's words (linux/license.h).
 */
export function loadNamedProgram(libc: LinuxLibc, name: string, code: Buffer, terms = "MIT"): number {
  const license = Buffer.from(`${terms}\0`);
  const memory = allocate(code.length + license.length);
  try {
    memory.bytes.set(code);
    memory.bytes.set(license, code.length);
    const attributes = Buffer.alloc(ATTRIBUTES.size);
    attributes.writeUInt32LE(BPF_PROG_TYPE_SCHED_CLS, ATTRIBUTES.type);
    attributes.writeUInt32LE(code.length / 8, ATTRIBUTES.count);
    attributes.writeBigUInt64LE(BigInt(memory.address), ATTRIBUTES.instructions);
    attributes.writeBigUInt64LE(BigInt(memory.address + code.length), ATTRIBUTES.license);
    attributes.write(name.slice(0, LONGEST_NAME), ATTRIBUTES.name, "latin1");
    for (let attempt = 1; ; attempt++) {
      const fd = libc.bpf(BPF_PROG_LOAD, attributes);
      if (fd >= 0) return fd;
      const errno = libc.errno();
      if (errno === EAGAIN && attempt < MOST_ATTEMPTS) continue;
      throw new Error(`the kernel refuses an eBPF program: ${describeError(errno)}`);
    }
  } finally {
    memory.free();
  }
}

/** The number by which the kernel knows a loaded program. Throws Error when it does not say. */
export function programId(libc: LinuxLibc, program: number): number {
  const info = allocate(PROGRAM_INFO.size);
  try {
    const attributes = Buffer.alloc(OBJECT_INFO.size);
    attributes.writeUInt32LE(program, OBJECT_INFO.descriptor);
    attributes.writeUInt32LE(PROGRAM_INFO.size, OBJECT_INFO.length);
    attributes.writeBigUInt64LE(BigInt(info.address), OBJECT_INFO.info);
    if (libc.bpf(BPF_OBJ_GET_INFO_BY_FD, attributes) < 0) throw refusal(libc, "to describe an eBPF program");
    return new DataView(info.bytes.buffer, info.bytes.byteOffset).getUint32(PROGRAM_INFO.id, true);
  } finally {
    info.free();
  }
}

export interface MapDefinition {
  readonly name: string;
  readonly type: number;
  /** Bytes. */
  readonly keySize: number;
  readonly valueSize: number;
  readonly entries: number;
  readonly flags: number;
}

/** Makes a map and returns its descriptor; the caller closes it. Throws Error when the kernel refuses. */
export function createMap(libc: LinuxLibc, { name, type, keySize, valueSize, entries, flags }: MapDefinition): number {
  const attributes = Buffer.alloc(MAP.size);
  attributes.writeUInt32LE(type, MAP.type);
  attributes.writeUInt32LE(keySize, MAP.keySize);
  attributes.writeUInt32LE(valueSize, MAP.valueSize);
  attributes.writeUInt32LE(entries, MAP.entries);
  attributes.writeUInt32LE(flags, MAP.flags);
  attributes.write(name.slice(0, LONGEST_NAME), MAP.name, "latin1");
  const fd = libc.bpf(BPF_MAP_CREATE, attributes);
  if (fd < 0) throw refusal(libc, "an eBPF map");
  return fd;
}

/** Writes an array's element, whose value is `value`. Throws Error when the kernel refuses. */
export function setElement(libc: LinuxLibc, map: number, index: number, value: Uint8Array): void {
  const memory = allocate(8 + value.length);
  try {
    new DataView(memory.bytes.buffer, memory.bytes.byteOffset).setUint32(0, index, true);
    memory.bytes.set(value, 8);
    const attributes = Buffer.alloc(ELEMENT.size);
    attributes.writeUInt32LE(map, ELEMENT.map);
    attributes.writeBigUInt64LE(BigInt(memory.address), ELEMENT.key);
    attributes.writeBigUInt64LE(BigInt(memory.address + 8), ELEMENT.value);
    if (libc.bpf(BPF_MAP_UPDATE_ELEM, attributes) < 0) throw refusal(libc, "an element of an eBPF map");
  } finally {
    memory.free();
  }
}

/** From now on no process can change the map, with whatever rights. Throws Error when the kernel refuses. */
export function freezeMap(libc: LinuxLibc, map: number): void {
  const attributes = Buffer.alloc(4);
  attributes.writeUInt32LE(map);
  if (libc.bpf(BPF_MAP_FREEZE, attributes) < 0) throw refusal(libc, "to freeze an eBPF map");
}

function refusal(libc: LinuxLibc, what: string): Error {
  return new Error(`the kernel refuses ${what}: ${describeError(libc.errno())}`);
}
