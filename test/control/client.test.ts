/** The client of a control socket, as `softnet ctl` and others use it for one question after the other. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { ControlClient } from "../../src/control/client.ts";

test("a client that asks a thousand times holds no more than at its first question", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "softnet-client-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const server = createServer((socket) => {
    createInterface({ input: socket }).on("line", (line) => {
      socket.write(`${JSON.stringify({ jsonrpc: "2.0", id: JSON.parse(line).id, result: {} })}\n`);
    });
  });
  await new Promise<void>((resolve) => server.listen(join(folder, "control"), resolve));
  t.after(() => server.close());
  const warnings: string[] = [];
  const note = (warning: Error): unknown => warnings.push(warning.name);
  process.on("warning", note);
  t.after(() => process.off("warning", note));
  const client = await ControlClient.connect(join(folder, "control"));
  for (let asked = 0; asked < 1000; asked++) await client.ask("softnet.status");
  client.close();
  await new Promise(setImmediate);
  assert.deepEqual(warnings, []);
});
