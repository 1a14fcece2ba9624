/** Compiles the lane's programs from changed source, in a folder that is gone afterwards. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "../../../scripts/bytecode.ts";
import type { Bytecode } from "../../../src/lane/load.ts";
import type { LaneCode } from "../../../src/lane/relay-tap.ts";
import type { Mutant } from "./mutants.ts";

const SOURCES = fileURLToPath(new URL("../../../src/lane/bpf/", import.meta.url));
const SOURCE = "lane.bpf.c";
/** As scripts/bytecode.ts compiles it. */
const PROCESSOR = "v3";

/**
 * `defines`: macros. Throws Error where clang refuses, and where the source has no longer, or more than once, what is to be
 * changed.
 */
export function compileMutant({ name, file, changes }: Mutant, ...defines: readonly string[]): LaneCode {
  const folder = mkdtempSync(join(tmpdir(), "softnet-mutant-"));
  try {
    cpSync(SOURCES, folder, { recursive: true });
    const changed = join(folder, file);
    let text = readFileSync(changed, "utf8");
    for (const [from, to] of changes) {
      assert.equal(text.split(from).length, 2, `${file} must have this once, for the mutant "${name}": ${from}`);
      text = text.replace(from, () => to);
    }
    writeFileSync(changed, text);
    return programsOf(join(folder, SOURCE), defines);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function programsOf(file: string, defines: readonly string[]): LaneCode {
  const { programs, license } = compile(file, PROCESSOR, ...defines);
  const program = (name: string): Bytecode => {
    const found = programs.find((each) => each.name === name);
    assert.ok(found !== undefined, name);
    return { ...found, code: found.code.toString("hex"), license };
  };
  return { fromVm: program("lane_from_vm"), fromNetwork: program("lane_from_network"), toVm: program("lane_to_vm") };
}
