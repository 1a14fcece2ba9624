/** Loading an eBPF program, where the kernel says "again": it does when a signal comes in the middle. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, loadProgram, TC_ACT_OK } from "../../src/native/linux/bpf.ts";
import { EAGAIN, EPERM } from "../../src/native/linux/errno.ts";
import type { LinuxLibc } from "../../src/native/linux/libc.ts";

/** A libc whose bpf(2) fails like this, one call after the other, and then gives descriptor 7. */
function failing(...errors: readonly number[]): { libc: LinuxLibc; calls: () => number } {
  let calls = 0;
  const bpf = (): number => (calls++ < errors.length ? -1 : 7);
  const libc = { bpf, errno: () => errors[calls - 1] } as unknown as LinuxLibc;
  return { libc, calls: () => calls };
}

test("a program whose check a signal interrupts is loaded in a further attempt", () => {
  const { libc, calls } = failing(EAGAIN, EAGAIN, EAGAIN);
  assert.equal(loadProgram(libc, answer(TC_ACT_OK)), 7);
  assert.equal(calls(), 4);
});

test("any other error is told at once, and EAGAIN without end some time", () => {
  const { libc, calls } = failing(EPERM, EPERM);
  assert.throws(() => loadProgram(libc, answer(TC_ACT_OK)), /refuses an eBPF program: EPERM/);
  assert.equal(calls(), 1);
  assert.throws(() => loadProgram(failing(...Array(1_000).fill(EAGAIN)).libc, answer(TC_ACT_OK)), /EAGAIN/);
});
