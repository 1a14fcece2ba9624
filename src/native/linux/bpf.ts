/**
 * Small eBPF programs for traffic control (bpf(2), linux/bpf.h): assembled here, word by word, so that nothing has to be
 * compiled. A program sees `struct __sk_buff` in register 1 and returns in register 0.
 */
import { allocate } from "../memory.ts";
import { describeError, EAGAIN } from "./errno.ts";
import type { LinuxLibc } from "./libc.ts";

const BPF_PROG_LOAD = 5;
const BPF_PROG_TYPE_SCHED_CLS = 3;

/** The kernel's verifier gives up with EAGAIN when a signal comes for the thread; the next attempt comes behind that. */
const MOST_ATTEMPTS = 20;

/** union bpf_attr, as BPF_PROG_LOAD reads it. */
const ATTRIBUTES = { size: 72, type: 0, count: 4, instructions: 8, license: 16 } as const;

/** Offset of the firewall mark in struct __sk_buff. */
export const SKB_MARK = 8;

/** What a traffic control program returns (linux/pkt_cls.h). */
export const TC_ACT_OK = 0;
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
  const code = Buffer.concat(instructions);
  const license = Buffer.from("MIT\0");
  const memory = allocate(code.length + license.length);
  try {
    memory.bytes.set(code);
    memory.bytes.set(license, code.length);
    const attributes = Buffer.alloc(ATTRIBUTES.size);
    attributes.writeUInt32LE(BPF_PROG_TYPE_SCHED_CLS, ATTRIBUTES.type);
    attributes.writeUInt32LE(code.length / 8, ATTRIBUTES.count);
    attributes.writeBigUInt64LE(BigInt(memory.address), ATTRIBUTES.instructions);
    attributes.writeBigUInt64LE(BigInt(memory.address + code.length), ATTRIBUTES.license);
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
