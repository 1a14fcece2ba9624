/** Where the executable's own library may be loaded from, and from where it is not. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { loadLibrary, type Place, placesFor } from "../../src/native/embedded-library.ts";
import { type Rights, rightsOf } from "../../src/native/rights.ts";
import { UserError } from "../../src/user-error.ts";
import { temporaryFolder } from "../support/folder.ts";
import { needsRoot } from "../support/tools.ts";

const target = `${process.platform}-${process.arch}`;
const installed = createRequire(import.meta.url).resolve(`@koromix/koffi-${target}/package.json`);
const KOFFI = readFileSync(join(dirname(installed), target.replace("-", "_"), "koffi.node"));

const isKoffi = (library: unknown): boolean => typeof (library as { load?: unknown }).load === "function";

test("a named library leaves nothing, in a folder of the caller's", (t) => {
  const folder = temporaryFolder(t);
  assert.ok(isKoffi(loadLibrary(KOFFI, [{ folder, unnamed: false, owner: "anybody" }])));
  assert.deepEqual(readdirSync(folder), []);
});

test("also one that cannot be loaded leaves nothing, and the next place is tried", (t) => {
  const [first, second] = [temporaryFolder(t), temporaryFolder(t)];
  const places = [first, second].map((folder): Place => ({ folder, unnamed: false, owner: "anybody" }));
  assert.throws(() => loadLibrary(Buffer.from("no library"), places), UserError);
  assert.ok(isKoffi(loadLibrary(KOFFI, [{ ...places[0]!, folder: join(first, "nowhere") }, places[1]!])));
  assert.deepEqual([...readdirSync(first), ...readdirSync(second)], []);
});

test("a folder that is not root's alone is refused for who has rights", needsRoot(), (t) => {
  const cases: readonly (readonly [mode: number, owner: number, Place["owner"], works: boolean])[] = [
    [0o755, 0, "root", true],
    [0o700, 0, "root", true],
    [0o755, 1000, "root", false],
    [0o775, 0, "root", false],
    [0o757, 0, "root", false],
    [0o1777, 0, "root", false],
    [0o1777, 0, "root, shared", true],
    [0o777, 0, "root, shared", false],
    [0o1777, 1000, "root, shared", false],
  ];
  for (const [mode, uid, owner, works] of cases) {
    for (const unnamed of [true, false]) {
      const folder = join(temporaryFolder(t), "place");
      mkdirSync(folder);
      chmodSync(folder, mode);
      chownSync(folder, uid, uid);
      const load = () => loadLibrary(KOFFI, [{ folder, unnamed, owner }]);
      if (works) assert.ok(isKoffi(load()));
      else assert.throws(load, /belongs to user 1000|users other than root can write there/);
      assert.deepEqual(readdirSync(folder), []);
    }
  }
});

test("a folder that the executable does not lie in is not its own", needsRoot(), (t) => {
  const folder = temporaryFolder(t);
  const place: Place = { folder, unnamed: true, owner: "root", own: true };
  assert.throws(() => loadLibrary(KOFFI, [place]), UserError);
  // Another file of its name does not make it so; the executable's own folder is it.
  symlinkSync("/bin/true", join(folder, "node"));
  assert.throws(() => loadLibrary(KOFFI, [place]), /the executable is elsewhere/);
});

test("with rights, nothing that the caller's variables name is a place", () => {
  process.env.TMPDIR = "/tmp/of-the-caller";
  try {
    for (const rights of ["own", "borrowed"] as const) {
      for (const platform of ["linux", "darwin"] as const) {
        for (const isRoot of [true, false]) {
          for (const { folder, owner, unnamed } of placesFor(rights, platform, "/usr/local/bin/softnet", isRoot)) {
            assert.ok(!folder.startsWith("/tmp/of-the-caller"));
            assert.notEqual(owner, "anybody");
            assert.ok(owner === "root" || unnamed, "a name in a folder that others write");
          }
        }
      }
    }
    assert.equal(placesFor("none", "linux", "/usr/local/bin/softnet", false)[0]!.folder, "/tmp/of-the-caller");
  } finally {
    delete process.env.TMPDIR;
  }
  const [first] = placesFor("borrowed", "linux", "/usr/local/bin/softnet", true);
  assert.deepEqual(first, { folder: "/usr/local/bin", unnamed: true, owner: "root", own: true });
});

test("rights are borrowed by SUID, SGID, sudo and capabilities; root's own are root's", () => {
  const alice = { uid: 1000, euid: 1000, gid: 1000, egid: 1000, sudoUid: undefined, capabilities: 0n };
  const root = { ...alice, uid: 0, euid: 0, gid: 0, egid: 0, capabilities: 0x1ffn };
  const cases: readonly (readonly [Parameters<typeof rightsOf>[0], Rights])[] = [
    [alice, "none"],
    [{ ...alice, sudoUid: "0" }, "none"], // anybody can set the variable
    [{ ...alice, euid: 0 }, "borrowed"],
    [{ ...alice, egid: 0 }, "borrowed"],
    [{ ...alice, euid: 2000 }, "borrowed"],
    [{ ...alice, capabilities: 1n << 12n }, "borrowed"],
    [root, "own"],
    [{ ...root, sudoUid: "0" }, "own"],
    [{ ...root, sudoUid: "1000" }, "borrowed"],
    [{ ...root, uid: 1000, sudoUid: "0" }, "borrowed"],
  ];
  for (const [holder, rights] of cases)
    assert.equal(
      rightsOf(holder),
      rights,
      JSON.stringify(holder, (_, v) => `${v}`),
    );
});
