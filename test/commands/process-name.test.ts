import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MAIN } from "../support/cli.ts";
import { startSoftnet, until } from "../support/running.ts";

test("the process is called softnet, and its arguments can be read", async (t) => {
  const { child, log } = await startSoftnet(t);
  await until("it forwards", () => log.some(({ message }) => message === "started"));
  assert.equal(readFileSync(`/proc/${child.pid}/comm`, "utf8"), "softnet\n");
  const words = readFileSync(`/proc/${child.pid}/cmdline`, "utf8").split("\0");
  assert.deepEqual(words.slice(0, 4), [process.execPath, MAIN, "--vm-fd", "3"]);
});
