import assert from "node:assert/strict";
import { test } from "node:test";
import { tightLimit } from "../../src/privileges/limits.ts";

/** As /proc/PID/limits has them. */
const limits = (
  files: string,
  size: string,
  signals: string,
): string => `Limit                     Soft Limit           Hard Limit           Units
Max file size             ${size.padEnd(21)}unlimited            bytes
Max open files            ${files.padEnd(21)}1048576              files
Max pending signals       ${signals.padEnd(21)}94959                signals
`;

test("limits that softnet cannot work with are named, with how to raise them", () => {
  for (const [files, size, signals, why] of [
    ["1024", "unlimited", "94959", undefined],
    ["unlimited", "4194304", "unlimited", undefined],
    ["1024", "51200", "94959", "files are limited to 51200 bytes (ulimit -f): softnet needs 4194304, raise the limit"],
    ["40", "unlimited", "94959", "open files are limited to 40 (ulimit -n): softnet needs 96, raise the limit"],
    ["1024", "unlimited", "0", "pending signals are limited to 0 (ulimit -i): softnet needs 64, raise the limit"],
  ] as const) {
    assert.equal(tightLimit(limits(files, size, signals)), why);
  }
  assert.equal(tightLimit(""), undefined);
});
