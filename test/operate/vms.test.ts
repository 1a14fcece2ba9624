/** Which VMs of a host are found, by whom, and what a hostile user can put in their way. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { findRuntimes, findVms } from "../../src/operate/vms.ts";
import { namedControl, systemVms, userVms } from "../../src/registry/vm-names.ts";
import { Bench, NETWORK, ONLY_LINUX } from "../registry/support.ts";
import { needsRoot } from "../support/tools.ts";
import { openRecordOf } from "./records.ts";

const USER = 64_001;

async function socketAt(t: TestContext, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const server = createServer().listen(path);
  await new Promise<void>((resolve) => server.once("listening", resolve));
  t.after(() => server.close());
}

/** A registry with a VM that root named `web`, one with an address and no name, and a user's runtime folder with `mine`. */
async function scene(t: TestContext, uid = process.getuid!()) {
  const bench = new Bench(t);
  const registration = bench.open();
  bench.learn(registration);
  const web = namedControl(systemVms(bench.directory), "web");
  await socketAt(t, web);
  const folder = join(dirname(bench.directory), "runtime");
  const mine = namedControl(userVms(folder), "mine");
  await socketAt(t, mine);
  for (const path of [folder, userVms(folder), dirname(mine)]) chownSync(path, uid, uid);
  const find = () => findVms(bench.system, [{ folder, uid }]);
  return { bench, web, folder, mine, find };
}

test("VMs are found by their records and by the sockets of their names", ONLY_LINUX, async (t) => {
  const { web, mine, find } = await scene(t);
  assert.deepEqual(find(), [
    { name: "mine", control: mine, addresses: [], namedByRoot: false },
    { name: "web", control: web, addresses: [], namedByRoot: true },
    {
      mac: "7e:1a:00:00:00:01",
      addresses: ["10.77.0.5"],
      network: NETWORK,
      pid: process.pid,
      namedByRoot: false,
    },
  ]);
});

test("a VM with a record and a socket is found once, by the name that root gave", ONLY_LINUX, async (t) => {
  const { bench, web, find } = await scene(t);
  openRecordOf(t, bench.system, { control: web, name: "another" });
  const [, found, ...others] = find();
  assert.deepEqual(found, {
    name: "web",
    mac: "7e:1a:00:00:00:02",
    control: web,
    addresses: [],
    network: NETWORK,
    pid: process.pid,
    namedByRoot: true,
  });
  assert.equal(others.length, 1);
});

test("root is not led by links and foreign folders of a user's", needsRoot(), async (t) => {
  const { web, folder, mine, find } = await scene(t, USER);
  const names = () => find().flatMap(({ name }) => name ?? []);
  assert.deepEqual(names(), ["mine", "web"]);
  symlinkSync(dirname(web), join(userVms(folder), "link"));
  mkdirSync(join(userVms(folder), "foreign"));
  await socketAt(t, join(userVms(folder), "foreign", "ctl"));
  assert.deepEqual(names(), ["mine", "web"]);
  chmodSync(dirname(mine), 0o777);
  assert.deepEqual(names(), ["web"], "others may write to it");
});

test("root looks into the runtime folders of all users, others into their own", () => {
  assert.deepEqual(findRuntimes({ XDG_RUNTIME_DIR: "/somewhere" }, 1000), [{ folder: "/somewhere", uid: 1000 }]);
  assert.deepEqual(findRuntimes({ XDG_RUNTIME_DIR: "not/absolute" }, 1000), [{ folder: "/run/user/1000", uid: 1000 }]);
  assert.ok(findRuntimes({}, 0).some(({ folder, uid }) => folder === "/run/user/0" && uid === 0));
});
