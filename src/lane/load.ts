/**
 * Loads compiled programs (bytecode.ts) into the kernel: the descriptors of their maps, which are made
 * first, are written where the programs name them. There is nothing else to fill in, so no library is needed for it.
 */
import { BPF_PSEUDO_MAP_FD, loadNamedProgram } from "../native/linux/bpf.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";

export interface Bytecode {
  readonly name: string;
  /** Instructions of 8 bytes, hexadecimal, between white space. */
  readonly code: string;
  /** Which instruction takes a map's descriptor. */
  readonly maps: readonly { readonly at: number; readonly map: string }[];
}

/** Bytes of an instruction; where in it the registers and the immediate value are. */
const INSTRUCTION = { size: 8, registers: 1, value: 4 } as const;

/**
 * Loads a program and returns its descriptor; the caller closes it. `maps`: descriptors by name. `name`: what the kernel
 * calls it, for people. Throws Error when the kernel refuses.
 */
export function loadBytecode(
  libc: LinuxLibc,
  { code, maps: places, name }: Bytecode,
  maps: Readonly<Record<string, number>>,
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
  return loadNamedProgram(libc, `softnet_${name}`, instructions);
}
