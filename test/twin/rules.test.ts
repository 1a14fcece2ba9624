/** Each rule of Apple's that the stand-ins watch is broken once, in a process of its own, which must not live on. */
import { equal, match } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { needsTwin, twinLibraries } from "./build.ts";
import { MISUSES } from "./misuse.ts";

const SCRIPT = join(import.meta.dirname, "misuse.ts");

for (const [name, { says }] of Object.entries(MISUSES))
  test(`the stand-in ends the process: ${name}`, needsTwin(), async () => {
    twinLibraries(); // here, so that the processes find it built
    const child = spawn(process.execPath, [SCRIPT, name], { stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    let stdout = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    const [, signal] = await once(child, "close");
    const folder = stdout.trim();
    if (folder.startsWith(join(tmpdir(), "softnet-twin-misuse-"))) rmSync(folder, { recursive: true, force: true });
    match(stderr, says);
    equal(stderr.split("\n").filter((line) => line.startsWith("twin: ")).length, 1, "one line");
    equal(signal, "SIGABRT");
  });
