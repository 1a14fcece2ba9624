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
/** The macro for programs of the lane that pass IPv6, too. */
export const WITH_IPV6 = "WITH_IPV6";
/**
 * The oldest instructions for what every kernel with clsact is to take; for the lane those of Linux 5.1, as it needs a newer
 * kernel anyway. What a source includes of another one's maps is written once, with the first. `suffix`: of the names here; the
 * kernel's names have none.
 */
const SOURCES = [
  { source: "attach.bpf.c", processor: "v1", define: [], suffix: "" },
  { source: "lane.bpf.c", processor: "v3", define: [], suffix: "" },
  { source: "lane.bpf.c", processor: "v3", define: [WITH_IPV6], suffix: "_6" },
] as const;
export const BYTECODE = fileURLToPath(new URL("../src/lane/bytecode.ts", import.meta.url));
const FLAGS = ["-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-target", "bpf"];
/** Where a source names none. */
const LICENSE = "MIT";
/** Instructions a line: what fits into 120 characters. */
const A_LINE = 6;

/** The file's text. Throws Error where clang refuses. */
export function bytecode(): string {
  const compiled = SOURCES.map(({ source, processor, define, suffix }) => ({
    ...compile(source, processor, ...define),
    suffix,
  }));
  const maps = new Map(compiled.flatMap((each) => each.maps.map((map) => [map.name, map])));
  const programs = compiled.flatMap(({ programs, license, suffix }) =>
    programs.map((program) => renderProgram(program, license, suffix)),
  );
  return [HEAD, ...[...maps.values()].map(renderMap), ...programs].join("\n");
}

const HEAD = `/** Written by scripts/bytecode.ts from src/lane/bpf/ ("npm run bytecode"): change the C source, not this. */
import type { MapDefinition } from "../native/linux/bpf.ts";
import type { Bytecode } from "./load.ts";
`;

/** Throws Error where clang refuses. `define`: macros, as `-D` takes them. */
export function compile(source: string, processor: string, ...define: readonly string[]): Compiled {
  const folder = mkdtempSync(join(tmpdir(), "softnet-bytecode-"));
  const object = join(folder, "object");
  try {
    const { status, stderr, error } = spawnSync(
      "clang",
      [...FLAGS, ...define.map((macro) => `-D${macro}`), `-mcpu=${processor}`, "-c", source, "-o", object],
      {
        cwd: FOLDER,
        encoding: "utf8",
      },
    );
    if (status !== 0) throw new Error(`clang does not compile ${source}: ${error?.message ?? stderr}`);
    return readCompiled(readFileSync(object));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function renderMap({ name, type, keySize, valueSize, entries, flags }: MapDefinition): string {
  const members = { name: `"${name}"`, type, keySize, valueSize, entries, flags };
  const text = Object.entries(members).map(([key, value]) => `  ${key}: ${value},\n`);
  return `export const ${constant(name)}: MapDefinition = {\n${text.join("")}};\n`;
}

function renderProgram({ name, code, maps, calls, fields }: CompiledProgram, license: string, suffix: string): string {
  const instructions = code.toString("hex").match(/.{16}/g) ?? [];
  const lines: string[] = [];
  for (let at = 0; at < instructions.length; at += A_LINE) lines.push(instructions.slice(at, at + A_LINE).join(" "));
  const mapPlaces = maps.map(({ at, map }) => `{ at: ${at}, map: "${map}" }`);
  const callPlaces = calls.map(({ at, name }) => `{ at: ${at}, name: "${name}" }`);
  const fieldPlaces = fields.map(({ at, field }) => `{ at: ${at}, field: ${field} }`);
  return `export const ${constant(name + suffix)}: Bytecode = {
  name: "${name}",
  code: \`
    ${lines.join("\n    ")}
  \`,
  license: "${license || LICENSE}",
  maps: ${list(mapPlaces)},
  calls: ${list(callPlaces)},
  fields: ${list(fieldPlaces)},
};
`;
}

/** As Biome writes it: more than one object are on lines of their own. */
function list(items: readonly string[]): string {
  return items.length < 2 ? `[${items.join("")}]` : `[\n    ${items.join(",\n    ")},\n  ]`;
}

/** `from_vm` → `FROM_VM`. */
function constant(name: string): string {
  return name.toUpperCase();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(BYTECODE, bytecode());
