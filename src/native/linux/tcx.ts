/**
 * eBPF programs at an interface's ends without a queueing discipline (bpf(2), linux/bpf.h: BPF_TCX_INGRESS and
 * BPF_TCX_EGRESS, since Linux 6.6). They run before those of clsact, in an order that the kernel keeps, and stay when the
 * process that attached them ends. A change of queueing disciplines does not take them away.
 */
import { allocate } from "../memory.ts";
import { describeError, EINVAL, ENOENT } from "./errno.ts";
import type { LinuxLibc } from "./libc.ts";

const BPF_PROG_ATTACH = 8;
const BPF_PROG_DETACH = 9;
const BPF_PROG_QUERY = 16;
const BPF_F_BEFORE = 8;
const BPF_F_AFTER = 16;
const BPF_F_ID = 32;

/** Which way a packet goes: in from the interface, or out to it. */
export type Hook = "ingress" | "egress";

const TYPES: Readonly<Record<Hook, number>> = { ingress: 46, egress: 47 };

/** union bpf_attr, as these commands read it. */
const ATTACH = { size: 32, index: 0, program: 4, type: 8, flags: 12, relative: 20, revision: 24 } as const;
const QUERY = { size: 64, index: 0, type: 4, programs: 16, count: 24, revision: 56 } as const;
/** The kernel's own limit for one hook is 63. */
const MOST_PROGRAMS = 64;
/** Times that a change is tried again because others changed the hook at the same time. */
const ATTEMPTS = 8;

/** What is at a hook, in the order in which it runs. */
interface Listed {
  readonly ids: readonly number[];
  /** Another one after each change. */
  readonly revision: bigint;
}

/**
 * Attaches a program before all others at the hook. Returns false where the kernel has no such hooks. Throws Error when
 * it refuses for another reason.
 */
export function attachFirst(libc: LinuxLibc, index: number, hook: Hook, program: number): boolean {
  const attributes = attach(index, hook, BPF_F_BEFORE);
  attributes.writeUInt32LE(program, ATTACH.program);
  if (libc.bpf(BPF_PROG_ATTACH, attributes) === 0) return true;
  const errno = libc.errno();
  if (errno === EINVAL) return false;
  throw new Error(`the kernel does not take a program at the interface: ${describeError(errno)}`);
}

/** The ids of the programs at the hook, in the order in which they run; empty where the kernel has no such hooks. */
export function programsAt(libc: LinuxLibc, index: number, hook: Hook): readonly number[] {
  return list(libc, index, hook).ids;
}

/** Takes a program away from the hook, if it is there. Throws Error when the kernel refuses. */
export function detach(libc: LinuxLibc, index: number, hook: Hook, id: number): void {
  for (let attempt = 1; ; attempt++) {
    const { ids, revision } = list(libc, index, hook);
    const place = ids.indexOf(id);
    if (place < 0) return;
    // By its place and not by a descriptor, which only those with CAP_SYS_ADMIN get for a number.
    const attributes = attach(index, hook, place === 0 ? BPF_F_BEFORE : BPF_F_AFTER | BPF_F_ID);
    if (place > 0) attributes.writeUInt32LE(ids[place - 1]!, ATTACH.relative);
    attributes.writeBigUInt64LE(revision, ATTACH.revision);
    if (libc.bpf(BPF_PROG_DETACH, attributes) === 0) return;
    const errno = libc.errno();
    if (attempt === ATTEMPTS) throw new Error(`the kernel keeps a program at the interface: ${describeError(errno)}`);
  }
}

function list(libc: LinuxLibc, index: number, hook: Hook): Listed {
  const memory = allocate(MOST_PROGRAMS * 4);
  try {
    const attributes = Buffer.alloc(QUERY.size);
    attributes.writeUInt32LE(index, QUERY.index);
    attributes.writeUInt32LE(TYPES[hook], QUERY.type);
    attributes.writeBigUInt64LE(BigInt(memory.address), QUERY.programs);
    attributes.writeUInt32LE(MOST_PROGRAMS, QUERY.count);
    if (libc.bpf(BPF_PROG_QUERY, attributes) < 0) {
      const errno = libc.errno();
      if (errno === EINVAL || errno === ENOENT) return { ids: [], revision: 0n };
      throw new Error(`the kernel does not list an interface's programs: ${describeError(errno)}`);
    }
    const view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset);
    const count = Math.min(attributes.readUInt32LE(QUERY.count), MOST_PROGRAMS);
    const ids = Array.from({ length: count }, (_, place) => view.getUint32(place * 4, true));
    return { ids, revision: attributes.readBigUInt64LE(QUERY.revision) };
  } finally {
    memory.free();
  }
}

function attach(index: number, hook: Hook, flags: number): Buffer {
  const attributes = Buffer.alloc(ATTACH.size);
  attributes.writeUInt32LE(index, ATTACH.index);
  attributes.writeUInt32LE(TYPES[hook], ATTACH.type);
  attributes.writeUInt32LE(flags, ATTACH.flags);
  return attributes;
}
