/**
 * docs/threats.md is complete: each row of the threat table that code, tests or documents cite stands there, each row
 * there is cited, and what a row names exists: its drop reasons, its files, its test.
 */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { DROP_REASONS } from "../../src/guard/reasons.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(`${ROOT}/${path}`, "utf8");
const files = (pattern: string): string[] => globSync(pattern, { cwd: ROOT });

const PAGE = "docs/threats.md";
const page = read(PAGE);

/** An id as it is cited; G and H are findings, the others attacks. */
const CITED = /\b[LADISN]([1-9]\d?)\b/g;
const FINDING = /\b[GH]([1-9]\d?)\b/g;

interface Row {
  readonly id: string;
  readonly where: string;
  readonly test: string;
}

/** The cells of the page's tables, by their first. */
const table = page
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .map((line) => line.slice(2, -2).split(" | "));
const rows: readonly Row[] = table
  .filter((cells) => /^[LADISN]\d+$/.test(cells[0]!))
  .map((cells) => {
    assert.equal(cells.length, 5, cells[0]);
    return { id: cells[0]!, where: cells[3]!, test: cells[4]! };
  });

const sources = files("{src,test}/**/*.ts").filter((path) => !path.startsWith("test/docs/"));
const documents = [...files("docs/*.md"), ...files("*.md")].filter((path) => path !== PAGE);
const texts = new Map([...sources, ...documents].map((path) => [path, read(path)]));

const idsIn = (pattern: RegExp): Set<string> => {
  const found = new Set<string>();
  for (const text of texts.values()) for (const [id] of text.matchAll(pattern)) found.add(id);
  return found;
};

/** Texts in a test file that may be names of tests: string literals, in one of the two kinds that the house has. */
const strings = (text: string): string[] =>
  [...text.matchAll(/"((?:[^"\\\n]|\\.)*)"|`([^`]*)`/g)].map((match) => match[1] ?? match[2]!);

test("each row stands once", () => {
  const ids = rows.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
});

test("each row that is cited stands on the page", () => {
  const known = new Set(rows.map(({ id }) => id));
  assert.deepEqual([...idsIn(CITED)].filter((id) => !known.has(id)).toSorted(), []);
});

test("each row on the page is cited", () => {
  const cited = idsIn(CITED);
  assert.deepEqual(
    rows.map(({ id }) => id).filter((id) => !cited.has(id)),
    [],
  );
});

test("each finding in a test's name stands on the page", () => {
  const known = new Set(table.map(([id]) => id));
  assert.deepEqual([...idsIn(FINDING)].filter((id) => !known.has(id)).toSorted(), []);
});

for (const { id, where, test: shown } of rows) {
  test(`${id}: its drop reasons are those that name it`, () => {
    const told = [...where.matchAll(/`([a-z0-9]+\.[a-z0-9-]+)`/g)].map(([, name]) => name!);
    const reasons = told.filter((name) => !name.endsWith(".ts"));
    const expected = DROP_REASONS.filter(({ threats }) => threats.includes(id)).map(({ name }) => name);
    assert.deepEqual(reasons.toSorted(), expected.toSorted());
  });

  test(`${id}: its files exist`, () => {
    for (const [, name] of where.matchAll(/`([a-z0-9/-]+\.ts)`/g)) {
      assert.ok(
        sources.some((path) => path.startsWith("src/") && path.endsWith(`/${name}`)),
        name,
      );
    }
  });

  test(`${id}: its test exists`, () => {
    const word = new RegExp(`\\b${id}\\b`);
    if (shown === "–") {
      // No dash where there is a test to name.
      const isName = (text: string): boolean => text.includes(" ") && word.test(text);
      const named = sources.filter((path) => path.endsWith(".test.ts") && strings(texts.get(path)!).some(isName));
      assert.deepEqual(named, []);
      return;
    }
    const [, path, name] = /^`([^`]+\.test\.ts)`: "(.+)"$/.exec(shown) ?? [];
    assert.ok(path !== undefined && name !== undefined, `not of the form \`file\`: "name": ${shown}`);
    assert.match(name, word);
    const text = texts.get(`test/${path}`);
    assert.ok(text !== undefined, `there is no test/${path}`);
    assert.ok(strings(text).includes(name), `test/${path} has no test "${name}"`);
  });
}
