/** AddressSanitizer sees what C does with memory that JavaScript owns: proved by misuse that must be reported. */
import { equal, match } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { needsSanitizer, SANITIZER_STATUS, sanitizerEnvironment, twinLibraries } from "./build.ts";
import { OVERRUNS } from "./overrun.ts";

const SCRIPT = join(import.meta.dirname, "overrun.ts");

for (const [name, { says }] of Object.entries(OVERRUNS))
  test(`${says === undefined ? "no report" : "a report"} when ${name}`, needsSanitizer(), async () => {
    twinLibraries({ sanitized: true }); // here, so that no compiler runs under the sanitizer
    const env = { ...process.env, ...sanitizerEnvironment() };
    const child = spawn(process.execPath, [SCRIPT, name], { env, stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const [status] = await once(child, "close");
    if (says !== undefined) match(stderr, says);
    else equal(stderr, "");
    equal(status, says === undefined ? 0 : SANITIZER_STATUS);
  });
