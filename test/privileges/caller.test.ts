/** Who asked: the real ids through SUID, sudo's word only from root, nobody for root itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { identifyCaller } from "../../src/privileges/caller.ts";

const NOBODY = { uid: 65_534, gid: 65_534 };
const SUDO = { SUDO_UID: "1000", SUDO_GID: "100" };
const ids = (uid: number, euid: number, gid = uid, egid = euid) => ({ uid, euid, gid, egid });

test("an ordinary user is the caller, whatever the environment says", () => {
  assert.deepEqual(identifyCaller(ids(1001, 1001), SUDO, NOBODY), { kind: "self", uid: 1001, gid: 1001 });
});

test("through SUID or SGID the real ids are the caller's, whatever the environment says", () => {
  assert.deepEqual(identifyCaller(ids(1001, 0, 1001, 1001), SUDO, NOBODY), { kind: "suid", uid: 1001, gid: 1001 });
  assert.deepEqual(identifyCaller(ids(1001, 1001, 1001, 5), SUDO, NOBODY), { kind: "suid", uid: 1001, gid: 1001 });
  assert.deepEqual(identifyCaller(ids(0, 0, 0, 5), {}, NOBODY), { kind: "root", ...NOBODY });
});

test("sudo names the caller to root", () => {
  assert.deepEqual(identifyCaller(ids(0, 0), SUDO, NOBODY), { kind: "sudo", uid: 1000, gid: 100 });
  const rootGroup = { SUDO_UID: "1000", SUDO_GID: "0" };
  assert.deepEqual(identifyCaller(ids(0, 0), rootGroup, NOBODY), { kind: "sudo", uid: 1000, gid: 0 });
});

const NONSENSE = ["", "x", "-1", "1e3", "0x10", " 1000", "1000\n", "01000", "4294967295", "4294968296", "1000.0"];
for (const text of NONSENSE) {
  test(`root itself: nobody, where SUDO_UID or SUDO_GID is ${JSON.stringify(text)}`, () => {
    const expected = { kind: "root", ...NOBODY };
    assert.deepEqual(identifyCaller(ids(0, 0), { ...SUDO, SUDO_UID: text }, NOBODY), expected);
    assert.deepEqual(identifyCaller(ids(0, 0), { ...SUDO, SUDO_GID: text }, NOBODY), expected);
  });
}

test("root itself: nobody, without sudo's variables and through root's own sudo", () => {
  const expected = { kind: "root", ...NOBODY };
  for (const environment of [{}, { SUDO_UID: "1000" }, { SUDO_GID: "100" }, { SUDO_UID: "0", SUDO_GID: "0" }]) {
    assert.deepEqual(identifyCaller(ids(0, 0), environment, NOBODY), expected);
  }
});
