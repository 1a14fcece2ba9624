/** A folder of its own for a test's files, gone when the test ends. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Calls functions when what they belong to ends: a test, or a benchmark. */
export interface Ends {
  after(end: () => unknown): void;
}

export function temporaryFolder(context: Ends): string {
  const folder = mkdtempSync(join(tmpdir(), "softnet-test-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
