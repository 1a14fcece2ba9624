/**
 * softnet's own code and that of its JavaScript dependencies as one file. koffi's JavaScript only searches folders for
 * its library and is left out: in its place comes src/native/koffi-in-executable.ts, which loads what is in the
 * executable itself.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const KOFFI = join(ROOT, "src", "native", "koffi-in-executable.ts");

const koffi: Plugin = {
  name: "koffi",
  setup({ onResolve }) {
    onResolve({ filter: /^koffi$/ }, () => ({ path: KOFFI }));
  },
};

/**
 * Node's own modules are loaded where softnet's code first uses something of them, not all of them at the start: each is
 * loaded whole, with everything it can load itself. A softnet that only forwards has no use for HTTP, and most start no
 * program; child processes, cryptography and compression alone cost a tenth of a start. So an importer gets an object
 * that has what it imports as getters.
 */
const builtins: Plugin = {
  name: "builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path, importer, kind }) => {
      const isImport = kind === "import-statement";
      return {
        path: isImport ? `${path} for ${relative(ROOT, importer)}` : path,
        namespace: "builtin",
        pluginData: { path, names: isImport ? importedNames(path, importer) : undefined },
      };
    });
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ pluginData: { path, names } }) => ({
      contents: lazily(path, names),
    }));
  },
};

/** What a file imports from one of Node's modules by name; undefined where it imports the whole. */
export function importedNames(path: string, importer: string): string[] | undefined {
  const imports = [...readFileSync(importer, "utf8").matchAll(/^import\s+([^"';]+?)\s+from\s+["']([^"']+)["']/gm)];
  const clauses = imports.filter(([, clause, from]) => from === path && !clause!.startsWith("type "));
  const lists = clauses.map(([, clause]) => /^\{([^}]*)\}$/.exec(clause!)?.[1]);
  if (lists.length === 0 || lists.includes(undefined)) return undefined;
  const words = lists.flatMap((list) => list!.split(",").map((word) => word.trim()));
  return words.filter((word) => word !== "" && !word.startsWith("type ")).map((word) => word.split(/\s/)[0]!);
}

/** A module that loads `path` when one of `names` is first used; without them, at once where it is not a plain object. */
function lazily(path: string, names: readonly string[] | undefined): string {
  const module: unknown = process.getBuiltinModule(path);
  const isPlain = typeof module === "object" && module !== null && path !== "node:process";
  const load = `process.getBuiltinModule(${JSON.stringify(path)})`;
  const all = names ?? (isPlain ? Object.keys(module) : undefined);
  if (all === undefined) return `module.exports = ${load};`;
  const getters = all.map((name) => `get ${name}() { return load().${name}; }`);
  return `let loaded; const load = () => (loaded ??= ${load}); module.exports = { ${getters.join(", ")} };`;
}

export interface Dependency {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
}

/** Writes the file, and answers which packages are in it. Whatever esbuild warns of is an error. */
export async function bundle(output: string): Promise<Dependency[]> {
  const { warnings, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ["src/main.ts"],
    outfile: output,
    bundle: true,
    metafile: true,
    platform: "node",
    format: "esm",
    target: "node26",
    // CommonJS packages ask for Node's own modules, and find nothing else.
    banner: { js: "const require = process.getBuiltinModule;" },
    legalComments: "none",
    // Without comments it is ASCII, which V8 keeps and reads at half the cost of a text with one other character.
    minifyWhitespace: true,
    lineLimit: 120,
    charset: "ascii",
    logLevel: "error",
    plugins: [koffi, builtins],
  });
  if (warnings.length > 0) throw new Error(`esbuild warns: ${warnings.map(({ text }) => text).join("; ")}`);
  const folders = new Set(Object.keys(metafile.inputs).flatMap((path) => packageFolder(path) ?? []));
  folders.add("node_modules/koffi"); // its library
  return [...folders].toSorted().map(describe);
}

/** `node_modules/@sentry/core` of a file in it. */
function packageFolder(path: string): string | undefined {
  return /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
}

function describe(folder: string): Dependency {
  const { name, version } = JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8"));
  // Of a package that has none in it, the repository's licence is in packaging/licences.
  const files = ["LICENSE", "LICENSE.txt", "LICENSE.md"].map((file) => join(ROOT, folder, file));
  const file = [...files, join(ROOT, `packaging/licences/${name}.txt`)].find(existsSync);
  if (file === undefined) throw new Error(`${name} has no licence file in ${dirname(folder)}`);
  return { name, version, licence: readFileSync(file, "utf8") };
}
