/** What softnet leaves behind in a terminal that it only wrote to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { MAIN } from "../support/cli.ts";
import { VM_MAC } from "../support/running.ts";
import { needs, run } from "../support/tools.ts";

const SCRIPT = fileURLToPath(new URL("terminal.py", import.meta.url));

for (const signal of ["SIGINT", "SIGTERM"]) {
  test(`the terminal stays as somebody else has set it meanwhile: ${signal}`, needs("python3"), () => {
    const command = [process.execPath, MAIN, "--vm-mac-address", VM_MAC];
    assert.equal(run("python3", SCRIPT, signal, ...command), "started 0 True\n");
  });
}
