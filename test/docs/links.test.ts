/** What documents refer to exists: the files and headings of their links, and the files of the project that they name. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const documents = [...globSync("*.md", { cwd: ROOT }), ...globSync("docs/*.md", { cwd: ROOT }), "test/twin/README.md"];

const withoutCode = (text: string): string => text.replaceAll(/^```[\s\S]*?^```/gm, "");

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(path: string): Set<string> {
  const headings = withoutCode(readFileSync(path, "utf8")).matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map((match) =>
      match[1]!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

for (const document of documents) {
  test(`${document}: its links lead somewhere`, () => {
    const path = join(ROOT, document);
    for (const [, target] of withoutCode(readFileSync(path, "utf8")).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      const [file = "", anchor] = target!.split("#");
      const led = file === "" ? path : join(dirname(path), file);
      assert.ok(existsSync(led), target);
      if (anchor !== undefined) assert.ok(anchorsOf(led).has(anchor), target);
    }
  });
  test(`${document}: the files that it names exist`, () => {
    const text = readFileSync(join(ROOT, document), "utf8");
    const named = [
      ...text.matchAll(/(?<![\w./-])(?:src|test|bench|scripts|packaging|docs)\/[\w./-]*\w\.(?:ts|md|rb)\b/g),
    ];
    assert.deepEqual(
      named
        .map(([path]) => path)
        .filter((path) => !existsSync(join(ROOT, path)) && !existsSync(join(ROOT, dirname(document), path))),
      [],
    );
  });
}
