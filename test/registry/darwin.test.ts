/**
 * The registry's system on macOS, over calls with Darwin's numbers and layouts (xnu, bsd/sys/fcntl.h) that end in Linux'
 * locks here: what is asked of Darwin is what Darwin understands.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DarwinLibc } from "../../src/native/darwin/libc.ts";
import type { RegistryCalls } from "../../src/native/darwin/registry-calls.ts";
import { darwinRegistry } from "../../src/registry/darwin.ts";
import { readHolders } from "../../src/registry/holders.ts";
import { ADDRESS, Bench, libc, ONLY_LINUX, OTHER_VM } from "./support.ts";

const BOOT = "0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0";

/** l_start (8), l_len (8), l_pid (4), l_type (2), l_whence (2); F_RDLCK 1, F_UNLCK 2, F_WRLCK 3. */
const TYPES: Readonly<Record<number, number>> = { 1: 0, 2: 2, 3: 1 };
const COMMANDS: Readonly<Record<number, number>> = { 90: 37, 92: 36 };

class Darwin implements RegistryCalls {
  #errno = 0;
  asked: string[] = [];

  errno(): number {
    return this.#errno;
  }

  fcntlLock(fd: number, command: number, lock: Uint8Array): number {
    assert.equal(lock.length, 24);
    const view = new DataView(lock.buffer, lock.byteOffset, lock.length);
    assert.deepEqual([view.getBigInt64(0, true), view.getBigInt64(8, true), view.getInt16(22, true)], [0n, 0n, 0]);
    const linux = Buffer.alloc(32);
    linux.writeInt16LE(TYPES[view.getInt16(20, true)]!, 0);
    const result = libc!.fcntlLock(fd, COMMANDS[command]!, linux);
    this.#errno = result === 0 ? 0 : 35; // EAGAIN on Darwin
    const type = Object.keys(TYPES).find((darwin) => TYPES[Number(darwin)] === linux.readInt16LE(0));
    view.setInt16(20, Number(type), true);
    return result;
  }

  sysctlbyname(name: string, value: Uint8Array, size: [number | bigint]): number {
    this.asked.push(name);
    assert.ok(Number(size[0]) >= BOOT.length + 1);
    value.set(Buffer.from(`${BOOT}\0`));
    return 0;
  }
}

const ticking = {
  mach_timebase_info: (ratio: Uint32Array) => {
    ratio.set([1, 1]);
    return 0;
  },
  mach_continuous_time: () => process.hrtime.bigint(),
} as unknown as DarwinLibc;

test("macOS: folder, owner, boot and locks are Darwin's, and a registry on them works", ONLY_LINUX, (t) => {
  const calls = new Darwin();
  const system = darwinRegistry(ticking, calls);
  assert.deepEqual([system.directory, system.owner, system.networkScope()], ["/var/run/softnet", 0, ""]);
  assert.equal(system.bootId(), BOOT);
  assert.deepEqual(calls.asked, ["kern.bootsessionuuid"]);

  const { directory: _, owner: __, ...darwin } = system;
  const bench = new Bench(t, darwin);
  const first = bench.open(undefined, "vmnet nat 192.168.64.0/24");
  const second = bench.open(OTHER_VM, "vmnet nat 192.168.64.0/24");
  assert.ok(bench.learn(first));
  assert.equal(second.isHeldElsewhere(ADDRESS), true);
  assert.deepEqual(
    readHolders(bench.system).map(({ state, network }) => [state, network]),
    [["live", "vmnet nat 192.168.64.0/24"]],
  );
  first.close();
  assert.equal(second.isHeldElsewhere(ADDRESS), false);
  second.close(); // and with it its claim
  assert.ok(bench.open(undefined, "vmnet nat 192.168.64.0/24").restored);
});

test("macOS: a lock that fails for another reason than another's is told", ONLY_LINUX, () => {
  const calls: RegistryCalls = { errno: () => 45, fcntlLock: () => -1, sysctlbyname: () => -1 };
  const system = darwinRegistry(ticking, calls);
  assert.throws(() => system.lock(0), /cannot be locked/);
  assert.throws(() => system.isLocked(0), /cannot be read/);
  assert.throws(() => system.bootId(), /kern\.bootsessionuuid cannot be read/);
});
