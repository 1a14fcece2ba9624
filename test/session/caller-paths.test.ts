/** Folders of the caller's paths, looked at before the VM is registered: refused is only what would fail for sure. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { CaptureError } from "../../src/capture/errors.ts";
import { type CallerPaths, refuseHopelessPaths } from "../../src/session/caller-paths.ts";
import { UserError } from "../../src/user-error.ts";
import { temporaryFolder } from "../support/folder.ts";
import { needsRoot } from "../support/tools.ts";

const USER = 64_001;
const skip = needsRoot();

/** A folder in which these exist: `name` with its owner and mode, a file where the mode has none for searching. */
function scene(t: TestContext): string {
  const folder = temporaryFolder(t);
  const make = (name: string, owner: number, mode: number): void => {
    mkdirSync(join(folder, name));
    chownSync(join(folder, name), owner, owner);
    chmodSync(join(folder, name), mode);
  };
  make("roots", 0, 0o755);
  make("own", USER, 0o700);
  make("own-closed", USER, 0o577);
  make("group", 0, 0o775);
  make("all", 0, 0o1777);
  writeFileSync(join(folder, "file"), "");
  writeFileSync(join(folder, "roots", "there"), "");
  symlinkSync("own", join(folder, "link"));
  return folder;
}

test("a socket's folder that is missing, no folder, or closed for sure is refused", skip, (t) => {
  const folder = scene(t);
  for (const [path, words] of [
    ["none/s", /: the folder \S+none does not exist; make it, or choose another path$/],
    ["file/s", /: \S+file is not a folder; choose another path$/],
    ["file/deeper/s", /: \S+file\/deeper is not a folder; choose another path$/],
    ["roots/s", /: no permission to make a socket in \S+roots; choose a folder of your own, such as \$/],
    ["own-closed/s", /: no permission to make a socket in \S+own-closed; /],
    ["x".repeat(200), /: a socket's path has 1 to 107 bytes/],
  ] as const) {
    for (const [option, key] of [
      ["--vm-socket", "vmSocket"],
      ["--control-socket", "controlSocket"],
    ] as const) {
      const given: CallerPaths = { [key]: join(folder, path) };
      const is = { name: UserError.name, message: words };
      assert.throws(() => refuseHopelessPaths(given, USER), is, path);
      assert.throws(() => refuseHopelessPaths(given, USER), { message: new RegExp(`^${option} ${folder}`) });
    }
  }
});

test("whatever may work is left to be tried", skip, (t) => {
  const folder = scene(t);
  for (const path of ["own/s", "link/s", "group/s", "all/s", "roots/there"]) {
    const whole = join(folder, path);
    refuseHopelessPaths({ vmSocket: whole, controlSocket: whole, capture: whole }, USER);
  }
  refuseHopelessPaths({ vmSocket: join(folder, "roots/s") }, 0);
  refuseHopelessPaths({ capture: join(folder, "roots/s") }, USER);
  refuseHopelessPaths({}, USER);
});

test("a capture's folder that is missing or no folder is refused", skip, (t) => {
  const folder = scene(t);
  for (const [path, words] of [
    ["none/c", /none\/c: the folder does not exist; create it first$/],
    ["file/deeper/c", /c: a part of the path is not a directory; check the path$/],
  ] as const) {
    const is = { name: CaptureError.name, message: words };
    assert.throws(() => refuseHopelessPaths({ capture: join(folder, path) }, USER), is);
  }
});
