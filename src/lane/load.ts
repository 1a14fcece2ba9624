/**
 * Loads compiled programs (bytecode.ts) into the kernel: the descriptors of their maps, which are made first, are written
 * where the programs name them, and so is what they need to know of this kernel (kernel-types.ts). There is nothing else to
 * fill in, so no library is needed for it.
 */
import { BPF_PSEUDO_MAP_FD, loadNamedProgram } from "../native/linux/bpf.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";

export interface Bytecode {
  readonly name: string;
  /** Instructions of 8 bytes, hexadecimal, between white space. */
  readonly code: string;
  /** Which instruction takes a map's descriptor. */
  readonly maps: readonly { readonly at: number; readonly map: string }[];
  /** What the kernel is told about the licence: some of its functions are for programs under a licence like its own. */
  readonly license: string;
  /** Which instruction calls a function of the kernel's. */
  readonly calls: readonly { readonly at: number; readonly name: string }[];
  /** Which instruction loads the place of a member of the kernel's structures, by its number in bpf/fields.h. */
  readonly fields: readonly { readonly at: number; readonly field: number }[];
}

/** What programs need to know of this kernel. */
export interface KernelTypes {
  /** The kernel's number for a function. */
  readonly functions: Readonly<Record<string, number>>;
  /** By a field's number. */
  readonly fields: readonly number[];
}

/** Bytes of an instruction; where in it the registers and the immediate value are. */
const INSTRUCTION = { size: 8, registers: 1, value: 4 } as const;
/** In the source register's place of a call: the function is the kernel's (linux/bpf.h). */
const BPF_PSEUDO_KFUNC_CALL = 2;

const NOTHING_KNOWN: KernelTypes = { functions: {}, fields: [] };

/**
 * Loads a program and returns its descriptor; the caller closes it. `maps`: descriptors by name. `name`: what the kernel
 * calls it, for people. Throws Error when the kernel refuses.
 */
export function loadBytecode(
  libc: LinuxLibc,
  { code, maps: places, calls, fields, name, license }: Bytecode,
  maps: Readonly<Record<string, number>>,
  kernel: KernelTypes = NOTHING_KNOWN,
): number {
  const instructions = Buffer.from(code.replaceAll(/\s/g, ""), "hex");
  for (const { at, map } of places) {
    const descriptor = maps[map];
    if (descriptor === undefined) throw new Error(`the program ${name} needs the map ${map}`);
    const start = at * INSTRUCTION.size;
    const destination = instructions[start + INSTRUCTION.registers]! & 0x0f;
    instructions[start + INSTRUCTION.registers] = destination | (BPF_PSEUDO_MAP_FD << 4);
    instructions.writeInt32LE(descriptor, start + INSTRUCTION.value);
  }
  for (const { at, name: called } of calls) {
    const number = kernel.functions[called];
    if (number === undefined) throw new Error(`the program ${name} needs the kernel's function ${called}`);
    const start = at * INSTRUCTION.size;
    instructions[start + INSTRUCTION.registers] = BPF_PSEUDO_KFUNC_CALL << 4;
    instructions.writeInt32LE(number, start + INSTRUCTION.value);
  }
  for (const { at, field } of fields) {
    const place = kernel.fields[field];
    if (place === undefined) throw new Error(`the program ${name} needs to know the kernel's structures`);
    instructions.writeInt32LE(place, at * INSTRUCTION.size + INSTRUCTION.value);
  }
  return loadNamedProgram(libc, `softnet_${name}`, instructions, license);
}
