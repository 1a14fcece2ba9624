/** What the lane's programs need to know of the kernel that they are loaded into (bpf/fields.h). */
import { readFileSync } from "node:fs";
import { KernelBtf } from "./btf.ts";
import type { KernelTypes } from "./load.ts";

const DESCRIPTION = "/sys/kernel/btf/vmlinux";

/** The function that shows a program the kernel's own packet, since Linux 6.2. */
const PACKET = "bpf_cast_to_kern_ctx";

/** Returns why there is none, in a few words, where the kernel does not say what is needed. */
export function readKernelTypes(): KernelTypes | string {
  let btf: KernelBtf;
  try {
    btf = new KernelBtf(readFileSync(DESCRIPTION));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === "ENOENT" ? `the kernel has no type information (${DESCRIPTION})` : message;
  }
  const number = btf.functionNumber(PACKET);
  if (number === undefined) return `the kernel has no ${PACKET} (it is older than Linux 6.2)`;
  try {
    return { functions: { [PACKET]: number }, fields: readFields(btf) };
  } catch (error) {
    return (error as Error).message;
  }
}

/** In the order of bpf/fields.h. Throws Error where one is not where it can be read. */
function readFields(btf: KernelBtf): number[] {
  const bits = (structure: string, member: string): number => {
    const offset = btf.bitOffset(structure, member);
    if (offset === undefined) throw new Error(`the kernel's type information has no ${structure}.${member}`);
    return offset;
  };
  const bytes = (structure: string, member: string): number => {
    const offset = bits(structure, member);
    if (offset % 8 !== 0) throw new Error(`the kernel has ${structure}.${member} at bit ${offset}`);
    return offset / 8;
  };
  const packet = "sk_buff";
  const summed = bits(packet, "ip_summed");
  if (summed % 8 > 6) throw new Error(`the kernel has ${packet}.ip_summed across two bytes`);
  return [
    bytes(packet, "head"),
    bytes(packet, "data"),
    bytes(packet, "end"),
    bytes(packet, "csum_start"),
    bytes(packet, "csum_offset"),
    Math.floor(summed / 8),
    summed % 8,
    bytes("skb_shared_info", "gso_type"),
  ];
}
