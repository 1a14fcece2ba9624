/**
 * Compiles the eBPF programs of src/lane/bpf/ with clang and writes their instructions to src/lane/bytecode.ts, which is
 * what softnet loads: users need no compiler. A test fails where the file is not what the source compiles to.
 *
 * npm run bytecode
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MapDefinition } from "../src/native/linux/bpf.ts";
import { type Compiled, type CompiledProgram, readCompiled } from "./elf-bpf.ts";

const FOLDER = fileURLToPath(new URL("../src/lane/bpf/", import.meta.url));
const SOURCES = ["attach.bpf.c"];
export const BYTECODE = fileURLToPath(new URL("../src/lane/bytecode.ts", import.meta.url));
/** The oldest instructions: every kernel with clsact takes them. */
const FLAGS = ["-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-target", "bpf", "-mcpu=v1"];
/** Instructions a line: what fits into 120 characters. */
const A_LINE = 6;

/** The file's text. Throws Error where clang refuses. */
export function bytecode(): string {
  return [HEAD, ...SOURCES.map((source) => render(compile(source)))].join("\n");
}

const HEAD = `/** Written by scripts/bytecode.ts from src/lane/bpf/ ("npm run bytecode"): change the C source, not this. */
import type { MapDefinition } from "../native/linux/bpf.ts";
import type { Bytecode } from "./load.ts";
`;

function compile(source: string): Compiled {
  const folder = mkdtempSync(join(tmpdir(), "softnet-bytecode-"));
  const object = join(folder, "object");
  try {
    const { status, stderr, error } = spawnSync("clang", [...FLAGS, "-c", source, "-o", object], {
      cwd: FOLDER,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`clang does not compile ${source}: ${error?.message ?? stderr}`);
    return readCompiled(readFileSync(object));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function render({ maps, programs }: Compiled): string {
  return [...maps.map(renderMap), ...programs.map(renderProgram)].join("\n");
}

function renderMap({ name, type, keySize, valueSize, entries, flags }: MapDefinition): string {
  const members = { name: `"${name}"`, type, keySize, valueSize, entries, flags };
  const text = Object.entries(members).map(([key, value]) => `  ${key}: ${value},\n`);
  return `export const ${constant(name)}: MapDefinition = {\n${text.join("")}};\n`;
}

function renderProgram({ name, code, maps }: CompiledProgram): string {
  const instructions = code.toString("hex").match(/.{16}/g) ?? [];
  const lines: string[] = [];
  for (let at = 0; at < instructions.length; at += A_LINE) lines.push(instructions.slice(at, at + A_LINE).join(" "));
  const places = maps.map(({ at, map }) => `{ at: ${at}, map: "${map}" }`).join(", ");
  return `export const ${constant(name)}: Bytecode = {
  name: "${name}",
  code: \`
    ${lines.join("\n    ")}
  \`,
  maps: [${places}],
};
`;
}

/** `from_vm` → `FROM_VM`. */
function constant(name: string): string {
  return name.toUpperCase();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(BYTECODE, bytecode());
