/** V8 knows the options that the relay sets, whichever version comes next: one that it does not know is set without effect. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { INLINING } from "../../src/relay/inlining.ts";

test("what V8 shall inline is what it has options for, and more than it would", () => {
  const listed = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8", maxBuffer: 1 << 24 });
  for (const [name, value] of INLINING) {
    const own = new RegExp(`^ *${name} .*\\n.*default: ${name}=(\\d+)`, "m").exec(listed)?.[1];
    assert.ok(own !== undefined, `${name} is no option`);
    assert.ok(Number(own) < value, `${name} is ${own} by itself`);
  }
});
