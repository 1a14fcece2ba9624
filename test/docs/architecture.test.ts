/** docs/architecture.md: its table of rooms is the order in which they may import, and the files that it names exist. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const page = readFileSync(join(ROOT, "docs/architecture.md"), "utf8");

/** The rooms, each of which imports only from those before it. */
const rooms = [...page.matchAll(/^\| `([a-z]+)\/` \|/gm)].map((match) => match[1]!);
/** Files beside the rooms: below all of them, and above. */
const LOWEST: readonly string[] = ["user-error.ts", "file-modes.ts", "system-program.ts", "version.ts"];
/** What is without I/O and clock: a list of names, and Node's channels to observers. */
const PURE: readonly string[] = ["node:diagnostics_channel", "tldts"];
const HIGHEST = ["index.ts", "main.ts"];

const sources = globSync("**/*.ts", { cwd: join(ROOT, "src") });

/** What a source file imports from others, also types and what is loaded later; modules of Node's by their names. */
const imports = new Map(
  sources.map((path) => {
    const text = readFileSync(join(ROOT, "src", path), "utf8");
    const found = [...text.matchAll(/(?:\bfrom |\bimport |\bimport\()\s*"([^"\n]+)"/g)].map((match) => match[1]!);
    return [path, found.map((name) => (name.startsWith(".") ? join(dirname(path), name) : name))] as const;
  }),
);

/** How high a file stands; a room that the page does not know has no place. */
function floor(path: string): number {
  if (LOWEST.includes(path)) return -1;
  if (HIGHEST.includes(path)) return rooms.length;
  const room = path.slice(0, path.indexOf("/"));
  assert.ok(rooms.includes(room), `src/${path} is in no room of docs/architecture.md`);
  return rooms.indexOf(room);
}

/** A source file without its comments. */
const codeOf = (path: string): string =>
  readFileSync(join(ROOT, "src", path), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");

const ownImports = (path: string): string[] => (imports.get(path) ?? []).filter((name) => imports.has(name));

test("every room of the page is a folder, and the other way round", () => {
  assert.deepEqual(
    rooms.filter((room) => !existsSync(join(ROOT, "src", room))),
    [],
  );
  for (const path of sources) floor(path);
});

test("imports go to the same room or to one before it", () => {
  const upwards = sources.flatMap((path) =>
    ownImports(path)
      .filter((imported) => floor(imported) > floor(path))
      .map((imported) => `src/${path} imports src/${imported}`),
  );
  assert.deepEqual(upwards, []);
});

test("no file imports itself by way of others", () => {
  const done = new Set<string>();
  const visit = (path: string, above: readonly string[]): void => {
    if (done.has(path)) return;
    assert.ok(!above.includes(path), [...above.slice(above.indexOf(path)), path].join(" imports "));
    for (const imported of ownImports(path)) visit(imported, [...above, path]);
    done.add(path);
  };
  for (const path of sources) visit(path, []);
});

test("what both address families share uses neither, and no family another's, but for IPv4's policy", () => {
  const used = sources.flatMap((path) => {
    const family = /^guard\/(ipv[46])\//.exec(path)?.[1];
    if (!path.startsWith("guard/") || path === "guard/guard.ts") return [];
    return ownImports(path)
      .filter((name) => /^guard\/ipv[46]\//.test(name) && !name.startsWith(`guard/${family}/`))
      .filter((name) => !(family === "ipv6" && name === "guard/ipv4/policy-guard.ts"))
      .map((name) => `src/${path} imports ${name}`);
  });
  assert.deepEqual(used, []);
});

test("wire, policy and guard use nothing but diagnostics_channel and the list of public suffixes, and have no clock", () => {
  const pure = sources.filter((path) => /^(wire|policy|guard)\//.test(path));
  const used = pure.flatMap((path) =>
    imports
      .get(path)!
      .filter((name) => !imports.has(name) && !PURE.includes(name))
      .map((name) => `src/${path} imports ${name}`),
  );
  assert.deepEqual(used, []);
  for (const path of pure) {
    assert.doesNotMatch(
      codeOf(path),
      /\bDate\.now\(|\bperformance\.|\bprocess\.|\bset(Timeout|Interval|Immediate)\(/,
      path,
    );
  }
});

test("no file uses what Node's permission model, which the executable has, refuses whatever is allowed", () => {
  const users = sources.filter((path) => /\b(fchmod|fchown|fsync|fdatasync|futimes)/.test(codeOf(path)));
  assert.deepEqual(users, []);
});

test("the files that the page names exist", () => {
  const named = [...page.matchAll(/`((?:src|test)\/[a-z0-9./-]+)`/g)].map((match) => match[1]!);
  assert.ok(named.length > 20);
  assert.deepEqual(
    named.filter((path) => !existsSync(join(ROOT, path))),
    [],
  );
});
