/** What softnet loads into the kernel is what its C source compiles to, and nothing has to be filled in but maps. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { BYTECODE, bytecode } from "../../scripts/bytecode.ts";
import * as bytecodes from "../../src/lane/bytecode.ts";
import { FROM_RELAY, FROM_VM, INTERFACES, LANE_FROM_VM, TO_VM } from "../../src/lane/bytecode.ts";
import { type Bytecode, type KernelTypes, loadBytecode } from "../../src/lane/load.ts";
import type { LinuxLibc } from "../../src/native/linux/libc.ts";
import { needs } from "../support/tools.ts";

/** Another release of clang may choose other instructions. */
const RELEASE = 14;

test("bytecode.ts is what clang makes of the C source", needs("clang"), (t) => {
  const { stdout } = spawnSync("clang", ["--version"], { encoding: "utf8" });
  const release = Number(/version (\d+)/.exec(stdout)?.[1]);
  if (release !== RELEASE) t.diagnostic(`this is clang ${release}; the file was made with clang ${RELEASE}`);
  assert.equal(readFileSync(BYTECODE, "utf8"), bytecode(), 'run "npm run bytecode"');
});

test("each program without the lane names the one map, a place for its descriptor, and needs nothing else", () => {
  for (const { maps, name, calls, fields } of [FROM_VM, TO_VM, FROM_RELAY]) {
    assert.deepEqual([calls, fields], [[], []], name);
    assert.deepEqual(
      maps.map(({ map }) => map),
      [INTERFACES.name],
      name,
    );
  }
});

test("a map's descriptor goes into the instruction that loads its address", () => {
  const loaded: Uint8Array[] = [];
  const bpf = (_command: number, attributes: Uint8Array): number => {
    loaded.push(Buffer.from(attributes));
    return 9;
  };
  loadBytecode({ bpf } as unknown as LinuxLibc, FROM_VM, { interfaces: 0x1234 });
  assert.equal(loaded.length, 1);
  assert.throws(() => loadBytecode({ bpf } as unknown as LinuxLibc, FROM_VM, {}), /from_vm needs the map interfaces/);
});

test("what a program needs to know of the kernel is filled in, and it is not loaded without", () => {
  const bpf = (): number => 9;
  const libc = { bpf } as unknown as LinuxLibc;
  const maps = Object.fromEntries(LANE_FROM_VM.maps.map(({ map }, index) => [map, index + 1]));
  const kernel: KernelTypes = { functions: { bpf_cast_to_kern_ctx: 77 }, fields: [1, 2, 3, 4, 5, 6, 7, 8] };
  assert.equal(loadBytecode(libc, LANE_FROM_VM, maps, kernel), 9);
  assert.throws(() => loadBytecode(libc, LANE_FROM_VM, maps), /needs the kernel's function bpf_cast_to_kern_ctx/);
  assert.throws(
    () => loadBytecode(libc, LANE_FROM_VM, maps, { ...kernel, fields: [1, 2] }),
    /needs to know the kernel's structures/,
  );
});

test("programs that call the kernel's functions say that they may be used under its licence; the others are under MIT", () => {
  const programs = Object.values(bytecodes).filter((each): each is Bytecode => "code" in each);
  assert.equal(programs.length, 9);
  for (const { name, calls, license } of programs) {
    assert.equal(license, calls.length > 0 ? "Dual MIT/GPL" : "MIT", name);
  }
});
