/** The folder of a named VM's control socket: whose it is, what is replaced, and what is refused. */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { linuxUnix } from "../../src/ports/linux-unix.ts";
import { isListening } from "../../src/ports/unix-path.ts";
import { actAs } from "../../src/privileges/act-as.ts";
import type { Caller } from "../../src/privileges/caller.ts";
import { openNamedControl } from "../../src/session/named-control.ts";
import { libc, registryIn, temporaryFolder } from "../registry/support.ts";
import { needsRoot } from "../support/tools.ts";

const USER = 64_001;
const OTHER = 64_002;
const GROUP = 64_003;
const skip = needsRoot();

function scene(t: TestContext) {
  const directory = temporaryFolder(t);
  const runtime = join(dirname(directory), "runtime");
  mkdirSync(runtime, { mode: 0o700 });
  chownSync(runtime, USER, USER);
  const system = {
    registry: registryIn(directory),
    isListening: (path: string) => isListening(linuxUnix(libc!), path),
    userRuntime: () => runtime,
    findGroup: (text: string) => (text === "fleet" ? GROUP : undefined),
  };
  const open = (name: string | undefined, kind: Caller["kind"], uid = USER, more: object = {}) => {
    const target = { uid, gid: uid };
    const privileges = { caller: { kind, ...target }, target, asTarget: <T>(action: () => T) => actAs(target, action) };
    const given = { ...(name !== undefined && { name }), ...more };
    return openNamedControl(given, system, privileges);
  };
  return { directory, runtime, system, open };
}

const describe = (path: string): string => {
  const { uid, mode } = lstatSync(path);
  return `${uid} ${(mode & 0o777).toString(8)}`;
};

async function listenAt(t: TestContext, path: string): Promise<() => Promise<void>> {
  const server = createServer().listen(path);
  await new Promise<void>((resolve) => server.once("listening", resolve));
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  t.after(close);
  return close;
}

test("root's are in the registry's folder, each the user's that softnet becomes", skip, (t) => {
  const { directory, open } = scene(t);
  const before = process.umask(0o077);
  t.after(() => process.umask(before));
  const named = open("web", "root")!;
  assert.equal(named.path, join(directory, "vms", "web", "ctl"));
  assert.equal(describe(join(directory, "vms")), "0 755");
  assert.equal(describe(join(directory, "vms", "web")), `${USER} 700`);
  named.close();
  assert.ok(!existsSync(join(directory, "vms", "web")));
});

test("others' are in their runtime folder, with their rights, also where softnet has root's", skip, (t) => {
  const { runtime, directory, open } = scene(t);
  for (const kind of ["sudo", "suid"] as const) {
    const named = open("web", kind)!;
    assert.equal(named.path, join(runtime, "softnet", "web", "ctl"));
    assert.equal(describe(join(runtime, "softnet")), `${USER} 700`);
    assert.equal(describe(dirname(named.path)), `${USER} 700`);
    named.close();
    assert.ok(!existsSync(dirname(named.path)));
  }
  assert.ok(!existsSync(join(directory, "vms")), "no user takes a name there");
  assert.throws(() => open("web", "suid", OTHER), {
    message: /^--name web: its control socket cannot be made by itself \(EACCES.*\); give --control-socket PATH$/,
  });
});

test("a name in use is an error that names it; what a dead softnet has left is replaced", skip, async (t) => {
  const { open } = scene(t);
  const named = open("web", "root")!;
  const close = await listenAt(t, named.path);
  assert.throws(() => open("web", "root", OTHER), {
    name: "UserError",
    message: `--name web: a running softnet has this name (its control socket is ${named.path}); give another, or end that one`,
  });
  assert.equal(describe(dirname(named.path)), `${USER} 700`, "it is as it was");
  await close();
  writeFileSync(named.path, "");
  open("web", "root", OTHER);
  assert.equal(describe(dirname(named.path)), `${OTHER} 700`);
  assert.ok(!existsSync(named.path));
});

test(
  "what softnets of other names have left empty is removed by the next start, what is starting or in use is not",
  skip,
  async (t) => {
    const { directory, open } = scene(t);
    const vms = join(directory, "vms");
    const starting = open("starting", "root")!;
    const used = open("used", "root")!;
    await listenAt(t, used.path);
    used.listening();
    const left = open("left", "root")!;
    left.listening();
    const crashed = open("crashed", "root")!;
    const own = open("own", "root")!;
    assert.deepEqual(readdirSync(vms), ["crashed", "own", "starting", "used"]);
    actAs({ uid: USER, gid: USER }, () => own.close());
    assert.deepEqual(readdirSync(join(vms, "own")), [], "who is not root can only empty it");
    assert.deepEqual(readdirSync(dirname(used.path)), ["ctl"]);
    open("crashed", "root")!.close();
    starting.close();
    crashed.close();
    open("other", "root");
    assert.deepEqual(readdirSync(vms), ["other", "used"]);
  },
);

test("a link in the place of the mark leads nowhere", skip, (t) => {
  const { directory, open } = scene(t);
  const folder = dirname(open("web", "root")!.path);
  rmdirSync(join(folder, "starting"));
  symlinkSync(join(directory, "elsewhere"), join(folder, "starting"));
  open("web", "root")!.listening();
  assert.ok(!existsSync(join(directory, "elsewhere")));
});

test("a folder that others may write to, or a link, is not used", skip, (t) => {
  const { runtime, directory, open } = scene(t);
  mkdirSync(join(runtime, "softnet"));
  assert.throws(() => open("web", "suid"), { message: /other users may write to it; remove it/ }, "root's");
  mkdirSync(directory, { mode: 0o755 });
  chmodSync(directory, 0o755);
  symlinkSync(runtime, join(directory, "vms"));
  assert.throws(() => open("web", "root"), { message: /is no folder, or other users may write to it/ });
});

test("without a name, or with a path of the user's own, nothing is made", skip, (t) => {
  const { directory, open } = scene(t);
  assert.equal(open(undefined, "root"), undefined);
  assert.equal(open("web", "root", USER, { controlSocket: "/tmp/x.ctl" }), undefined);
  assert.ok(!existsSync(directory));
});

test(
  "a group that root gives may use the socket; nobody else may, and the next softnet without it closes it",
  skip,
  async (t) => {
    const { open } = scene(t);
    const named = open("web", "root", USER, { controlGroup: "fleet" })!;
    const folder = dirname(named.path);
    chmodSync(dirname(dirname(dirname(folder))), 0o755); // the test's own
    const close = await actAs({ uid: USER, gid: USER }, () => listenAt(t, named.path));
    chmodSync(named.path, 0o600);
    const mayAsk = (uid: number, gid: number): boolean =>
      actAs({ uid, gid }, () => {
        try {
          return closeSync(openSync(named.path, "r+")) === undefined;
        } catch (error) {
          return (error as NodeJS.ErrnoException).code === "ENXIO"; // a socket that could be connected to
        }
      });
    assert.equal(mayAsk(OTHER, GROUP), false, "not before it is opened");
    actAs({ uid: USER, gid: USER }, () => named.listening());
    assert.equal(`${describe(folder)} ${lstatSync(folder).gid}`, `${USER} 710 ${GROUP}`);
    assert.deepEqual([mayAsk(USER, USER), mayAsk(OTHER, GROUP), mayAsk(OTHER, OTHER)], [true, true, false]);
    await close();
    open("web", "root");
    assert.equal(`${describe(folder)} ${lstatSync(folder).gid}`, `${USER} 700 ${USER}`);
  },
);

test("a group is root's to give, must be there, and is for the socket that the name makes", skip, (t) => {
  const { open, directory } = scene(t);
  const controlGroup = "fleet";
  for (const kind of ["sudo", "suid"] as const) {
    assert.throws(() => open("web", kind, USER, { controlGroup }), {
      message: /^--control-group fleet: only root itself/,
    });
  }
  const own = { controlGroup, controlSocket: "/tmp/x.ctl" };
  assert.throws(() => open("web", "root", USER, own), { message: /give --name and no --control-socket$/ });
  assert.throws(() => open(undefined, "root", USER, { controlGroup }), { message: /give --name and no/ });
  assert.throws(() => open("web", "root", USER, { controlGroup: "x" }), { message: /there is no such group/ });
  assert.ok(!existsSync(join(directory, "vms", "web")));
});
