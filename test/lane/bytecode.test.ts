/** What softnet loads into the kernel is what its C source compiles to, and nothing has to be filled in but maps. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { BYTECODE, bytecode } from "../../scripts/bytecode.ts";
import { FROM_RELAY, FROM_VM, INTERFACES, TO_VM } from "../../src/lane/bytecode.ts";
import { loadBytecode } from "../../src/lane/load.ts";
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

test("each program names the one map, and a place for its descriptor", () => {
  for (const { maps, name } of [FROM_VM, TO_VM, FROM_RELAY]) {
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
