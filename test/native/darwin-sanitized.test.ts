/**
 * What softnet hands to Apple's libraries, under AddressSanitizer: the stand-ins read and write every descriptor, header,
 * block and frame from instrumented code, so that one byte outside of what softnet allocated ends the process.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { needsTwin, sanitizerEnvironment } from "../twin/build.ts";

const FILES = [
  "ports/darwin-vmnet.test.ts",
  "ports/darwin-datagram.test.ts",
  "ports/darwin-relay.test.ts",
  "networks/vmnet.test.ts",
  "networks/vmnet-private.test.ts",
];

for (const file of FILES) {
  test(`no byte too far: ${file}`, { ...needsTwin(), ...LIMIT }, () => {
    const path = new URL(`../${file}`, import.meta.url).pathname;
    // NODE_TEST_CONTEXT would make it a part of this run, and hide its exit code.
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--test-isolation=none", "--test", path], {
      env: { ...environment, ...sanitizerEnvironment() },
      encoding: "utf8",
      ...LIMIT,
    });
    assert.equal(status, 0, `${stdout.slice(-4000)}\n${stderr.slice(-4000)}`);
    assert.match(stdout, /^(# |ℹ )pass [1-9]/m);
  });
}
