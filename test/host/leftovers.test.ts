/** What ended helpers left behind is removed, and nothing of one that lives. */
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openSocket, unixAddress } from "../../src/host/helper-socket.ts";
import { removeLeftovers } from "../../src/host/leftovers.ts";
import { takeLock, tryLock } from "../../src/host/lock.ts";
import { loadLibc } from "../../src/native/linux/libc.ts";

const LINUX = process.platform === "linux" ? {} : { skip: "the helper runs on Linux alone" };

test("a helper that starts removes the sockets and locks of ended ones, and no others", LINUX, (t) => {
  const libc = loadLibc();
  const folder = mkdtempSync(join(tmpdir(), "softnet-helpers-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const listen = (name: string): number => {
    const fd = openSocket(libc);
    const address = unixAddress(join(folder, name));
    assert.equal(libc.bind(fd, address, address.length), 0);
    assert.equal(libc.listen(fd, 1), 0);
    writeFileSync(join(folder, `${name}.lock`), "");
    return fd;
  };
  libc.close(listen("ended"));
  const living = listen("living");
  libc.close(listen("starting"));
  const held = tryLock(libc, join(folder, "starting.lock"));
  removeLeftovers(libc, folder);
  assert.deepEqual(readdirSync(folder).toSorted(), ["living", "living.lock", "starting", "starting.lock"]);
  libc.close(living);
  closeSync(held!);
  removeLeftovers(libc, folder);
  assert.deepEqual(readdirSync(folder), []);
});

test("a lock whose file was removed while it was waited for is not taken: the name's new file is", LINUX, async (t) => {
  const libc = loadLibc();
  const folder = mkdtempSync(join(tmpdir(), "softnet-lock-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "one.lock");
  const first = tryLock(libc, path)!;
  assert.equal(await takeLock(libc, path, 0), undefined);
  const waiting = takeLock(libc, path, 60_000);
  rmSync(path);
  const fresh = await waiting; // of the name's new file, while the removed one is still locked
  assert.notEqual(fresh, undefined);
  assert.equal(tryLock(libc, path), undefined);
  closeSync(first);
  assert.equal(tryLock(libc, path), undefined);
  closeSync(fresh!);
});
