/**
 * Two VMs on a bridge exchange frames only if both were started without isolation. The bridge's own port isolation keeps
 * isolated ports from each other, but not an isolated one from an open one. So each TAP marks what its VM sends with its
 * kind, and lets nothing out to its VM that bears the other kind's mark. Frames of anything else (the LAN's card, the host)
 * bear none.
 *
 * It is two eBPF programs of a few instructions at the TAP's ends, there before the TAP comes up and gone with it. The mark
 * is two bits of the packet's firewall mark: high ones, because people use the low ones.
 */
import * as bpf from "../native/linux/bpf.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { attachPrograms } from "../native/linux/traffic-control.ts";

const MASK = 0x30000000;
const ISOLATED = 0x10000000;
const OPEN = 0x20000000;

/** Keeps the TAP with this index from those of the other kind. Throws Error when the kernel refuses. */
export function separate(libc: LinuxLibc, index: number, isolated: boolean): void {
  const [own, other] = isolated ? [ISOLATED, OPEN] : [OPEN, ISOLATED];
  const programs: number[] = [];
  const load = (...instructions: readonly Buffer[]): number => {
    const program = bpf.loadProgram(libc, ...instructions);
    programs.push(program);
    return program;
  };
  try {
    const fromVm = load(
      bpf.load(2, bpf.SKB_MARK),
      bpf.and(2, ~MASK),
      bpf.or(2, own),
      bpf.store(bpf.SKB_MARK, 2),
      bpf.answer(bpf.TC_ACT_OK),
    );
    const toVm = load(
      bpf.load(2, bpf.SKB_MARK),
      bpf.and(2, MASK),
      bpf.skipUnless(2, other, 2),
      bpf.answer(bpf.TC_ACT_SHOT),
      bpf.answer(bpf.TC_ACT_UNSPEC),
    );
    attachPrograms(libc, index, fromVm, toVm);
  } finally {
    // The filters hold the programs from now on.
    for (const program of programs) libc.close(program);
  }
}
