/** --name: a control socket that softnet makes by itself. */
import assert from "node:assert/strict";
import { chownSync, existsSync, lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { softnet } from "../support/cli.ts";
import { startSoftnet, until } from "../support/running.ts";
import { AS_USER, NOBODY, place, READABLE, STATIC } from "./control-support.ts";

test("a user's VM with a name can be asked, and nothing of it is left", READABLE, async (t) => {
  const runtime = place(t, "runtime");
  mkdirSync(runtime, { mode: 0o700 });
  if (process.getuid!() === 0) chownSync(runtime, NOBODY, NOBODY);
  const environment = { env: { XDG_RUNTIME_DIR: runtime } };
  const options = { ...AS_USER, ...environment, args: [...STATIC, "--name", "web-1"] };
  const running = await startSoftnet(t, options);
  const path = join(runtime, "softnet", "web-1", "ctl");
  await until(`the socket\n${running.stderr()}`, () => existsSync(path));
  assert.equal(lstatSync(path).mode & 0o777, 0o600);
  const status = JSON.parse(softnet(["ctl", path, "status", "--json"]).stdout);
  assert.deepEqual([status.name, status.interface, status.policy.source], ["web-1", null, "options"]);
  softnet(["ctl", path, "set", "--allow", "", "--block", "@private"]);
  assert.equal(JSON.parse(softnet(["ctl", path, "status", "--json"]).stdout).policy.source, "control");
  const again = softnet([...ENDS, "--name", "web-1"], { ...AS_USER, ...environment });
  assert.match(again.stderr, /^softnet: --name web-1: a running softnet has this name \(its control socket is \S+\); /);
  running.child.kill("SIGTERM");
  assert.equal((await running.ended()).code, 0);
  assert.ok(!existsSync(join(runtime, "softnet", "web-1")));
});

const ENDS = [
  "--vm-socket",
  "/nonexistent/vm",
  "--host-socket",
  "/nonexistent/host",
  "--vm-mac-address",
  "02:00:00:00:00:11",
];
