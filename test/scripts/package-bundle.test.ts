import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { importedNames } from "../../scripts/package-bundle.ts";

test("what a file imports from one of Node's modules, whose bundle loads it at its first use", () => {
  const folder = mkdtempSync(join(tmpdir(), "softnet-bundle-"));
  const file = join(folder, "importer.ts");
  const names = (text: string): string[] | undefined => {
    writeFileSync(file, text);
    return importedNames("node:child_process", file);
  };
  try {
    assert.deepEqual(names('import { spawn } from "node:child_process";\n'), ["spawn"]);
    assert.deepEqual(names('import { type ChildProcess, spawn as start } from "node:child_process";'), ["spawn"]);
    const several = 'import { join } from "node:path";\nimport {\n  exec,\n  spawn,\n} from "node:child_process";\n';
    assert.deepEqual(names(several), ["exec", "spawn"]);
    const types =
      'import type { ChildProcess } from "node:child_process";\nimport { spawn } from "node:child_process";';
    assert.deepEqual(names(types), ["spawn"]);
    assert.equal(names('import * as all from "node:child_process";'), undefined);
    assert.equal(names('import all from "node:child_process";'), undefined);
    assert.equal(names('import { join } from "node:path";'), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
