/** What a hostile local user, a crash and many softnets at once can do to the registry: nothing that counts. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readHolders } from "../../src/registry/holders.ts";
import { encodeRecord } from "../../src/registry/record.ts";
import type { Registration } from "../../src/registry/registration.ts";
import { MOST_ENDED, MOST_RECORDS } from "../../src/registry/sweep.ts";
import { needs, needsRoot } from "../support/tools.ts";
import {
  ADDRESS,
  ADDRESS_6,
  Bench,
  boundOf,
  NETWORK,
  ONLY_LINUX,
  OTHER_ADDRESS,
  OTHER_ADDRESS_6,
  OTHER_VM,
  OtherSoftnet,
  VM,
} from "./support.ts";

const NOBODY = 65_534;
const ROOT = { ...ONLY_LINUX, ...needsRoot() };

/** A bench where a VM of another process has ADDRESS and its softnet has been killed; answers the record's path. */
async function afterCrash(t: TestContext): Promise<{ bench: Bench; path: string }> {
  const bench = new Bench(t);
  const killed = new OtherSoftnet(t, bench.directory, "7e:1a:00:00:00:01");
  await killed.line();
  assert.equal(await killed.order("learn 10.77.0.5"), "learned");
  await killed.kill();
  return { bench, path: join(bench.directory, bench.files()[0]!) };
}

/** What an ordinary user can do with a file that he may read: every kind of lock, for as long as the test goes on. */
const HOLD = `
import fcntl, os, struct, sys, time
got = []
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB); got.append("flock")
fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB); got.append("shared")
for kind, command in (("write", 6), ("ofd-write", 37)):
    try:
        fcntl.fcntl(fd, command, struct.pack("hhlli", 1, 0, 0, 0, 0)); got.append(kind)
    except OSError: pass
fcntl.fcntl(fd, 37, struct.pack("hhlli", 0, 0, 0, 0, 0)); got.append("ofd-shared")
try: os.open(sys.argv[1], os.O_RDWR); got.append("open")
except PermissionError: pass
print(" ".join(got), flush=True)
time.sleep(600)
`;

test("D6 a user who may only read a dead record cannot keep it alive, whatever locks he takes", {
  ...ROOT,
  ...needs("python3"),
}, async (t) => {
  const { bench, path } = await afterCrash(t);
  const holder = spawn("/usr/bin/python3", ["-c", HOLD, path], {
    uid: NOBODY,
    gid: NOBODY,
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => holder.kill("SIGKILL"));
  const [told] = (await once(holder.stdout, "data")) as [Buffer];
  assert.equal(told.toString().trim(), "flock shared ofd-shared");
  const other = bench.open(OTHER_VM);
  assert.equal(other.isHeldElsewhere(ADDRESS), false);
  other.follow(bench.learned(OTHER_ADDRESS));
  assert.deepEqual(
    readHolders(bench.system).map(({ state }) => state),
    ["live", "ended"],
  );
  assert.ok(bench.open().restored, "nor can he keep the VM from going on with it");
});

test(
  "D6 what is planted in the folder does not count: links, pipes, others' files, hard links to them",
  ROOT,
  async (t) => {
    const { bench, path } = await afterCrash(t);
    const name = path.slice(bench.directory.length + 1, -8);
    const forged = join(bench.directory, "..", "forged");
    copyFileSync(path, forged);
    chownSync(forged, NOBODY, NOBODY);
    renameSync(path, join(bench.directory, "..", "kept"));
    symlinkSync("../kept", join(bench.directory, `${name}00000001`));
    linkSync(forged, join(bench.directory, `${name}00000002`));
    execFileSync("mkfifo", ["-m", "644", join(bench.directory, `${name}00000003`)]);
    mkdirSync(join(bench.directory, `${name}00000004`));
    copyFileSync(join(bench.directory, "..", "kept"), join(bench.directory, `${name}00000005`));
    execFileSync("chmod", ["666", join(bench.directory, `${name}00000005`)]);
    copyFileSync(join(bench.directory, "..", "kept"), join(bench.directory, "a-file-of-another-name"));
    assert.deepEqual(readHolders(bench.system), []);
    const registration = bench.open();
    assert.equal(registration.restored, undefined);
    assert.equal(registration.isHeldElsewhere(ADDRESS), false);
  },
);

test("D6 a folder of another user is refused by who looks something up too", ROOT, (t) => {
  const bench = new Bench(t);
  const registration = bench.open();
  chownSync(bench.directory, NOBODY, NOBODY);
  assert.throws(() => registration.isHeldElsewhere(ADDRESS), /does not belong to root/);
  assert.throws(() => readHolders(bench.system), /does not belong to root/);
});

test("a link in place of the folder is refused", ROOT, (t) => {
  const bench = new Bench(t);
  const real = join(bench.directory, "..", "real");
  mkdirSync(real);
  symlinkSync(real, bench.directory);
  assert.throws(() => bench.open(), /is not a folder/);
});

test("D28 what a crash left half written is neither believed nor kept", ROOT, async (t) => {
  for (const damage of [
    (path: string) => truncateSync(path, 1000),
    (path: string) => truncateSync(path, 0),
    (path: string) => writeFileSync(path, Buffer.alloc(5000, "x")),
    (path: string) => {
      const fd = openSync(path, "r+");
      writeSync(fd, "00000000", 0);
    },
    (path: string) => writeFileSync(path, readFileSync(path).fill(0, 1024)),
  ]) {
    const { bench, path } = await afterCrash(t);
    damage(path);
    assert.deepEqual(readHolders(bench.system), []);
    assert.equal(bench.open().restored, undefined);
    assert.equal(bench.files().length, 1, "only the new one is there");
  }
});

test(
  "D28 killed between the claim and the binding: nothing is held, and nothing is gone on with but what was bound",
  ROOT,
  async (t) => {
    const bench = new Bench(t);
    const killed = new OtherSoftnet(t, bench.directory, "7e:1a:00:00:00:01");
    await killed.line();
    assert.equal(await killed.order("learn 10.77.0.5"), "learned");
    assert.equal(await killed.order("claim 10.77.0.6"), "free");
    const other = bench.open(OTHER_VM);
    assert.equal(other.isHeldElsewhere(OTHER_ADDRESS), true);
    await killed.kill();
    assert.equal(other.isHeldElsewhere(OTHER_ADDRESS), false);
    assert.equal(bench.open().restored?.address, ADDRESS);
  },
);

test(
  "D6 of four softnets that are given the same address at the same instant at most one learns it",
  ROOT,
  async (t) => {
    const bench = new Bench(t);
    const softnets = [1, 2, 3, 4].map((last) => new OtherSoftnet(t, bench.directory, `7e:1a:00:00:00:0${last}`));
    await Promise.all(softnets.map((softnet) => softnet.line()));
    let learned = 0;
    for (let round = 1; round <= 60; round++) {
      const answers = await Promise.all(softnets.map((softnet) => softnet.order(`learn 10.77.1.${round}`)));
      const winners = answers.filter((answer) => answer === "learned").length;
      assert.ok(winners <= 1, answers.join());
      learned += winners;
    }
    assert.ok(learned > 0, "a test in which nobody ever learns shows nothing");
  },
);

test("D6 of four softnets that want the same IPv6 address at the same instant at most one gets it", ROOT, async (t) => {
  const bench = new Bench(t);
  const softnets = [1, 2, 3, 4].map((last) => new OtherSoftnet(t, bench.directory, `7e:1a:00:00:00:0${last}`));
  await Promise.all(softnets.map((softnet) => softnet.line()));
  let learned = 0;
  for (let round = 1; round <= 18; round++) {
    const answers = await Promise.all(softnets.map((softnet) => softnet.order(`learn 2001:db8:77::${round}`)));
    const winners = answers.filter((answer) => answer === "learned").length;
    assert.ok(winners <= 1, answers.join());
    learned += winners;
  }
  assert.ok(learned > 0, "a test in which nobody ever learns shows nothing");
});

test(
  "D28 killed between the claim of an IPv6 address and its use: nothing is held, nor gone on with",
  ROOT,
  async (t) => {
    const bench = new Bench(t);
    const killed = new OtherSoftnet(t, bench.directory, "7e:1a:00:00:00:01");
    await killed.line();
    assert.equal(await killed.order("learn 2001:db8:77::5"), "learned");
    assert.equal(await killed.order("claim 2001:db8:77::6"), "free");
    const other = bench.open6(OTHER_VM);
    assert.equal(other.isHeldElsewhere6(OTHER_ADDRESS_6), true);
    await killed.kill();
    assert.equal(other.isHeldElsewhere6(OTHER_ADDRESS_6), false);
    assert.deepEqual(
      bench.open6().restored6.map(({ address }) => address),
      [ADDRESS_6],
    );
  },
);

test("D28 what a crash left half written of many IPv6 addresses is neither believed nor kept", ROOT, async (t) => {
  for (const damage of [
    (path: string) => truncateSync(path, 2048),
    (path: string) => truncateSync(path, 4095),
    (path: string) => writeFileSync(path, readFileSync(path).fill(0, 3000)),
    (path: string) => writeFileSync(path, readFileSync(path).fill(10, 2047, 2048)),
    (path: string) => writeFileSync(path, Buffer.alloc(100_000, "x")),
  ]) {
    const bench = new Bench(t);
    const killed = new OtherSoftnet(t, bench.directory, "7e:1a:00:00:00:01");
    await killed.line();
    for (let last = 1; last <= 20; last++) {
      assert.equal(await killed.order(`learn 2001:db8:77:77:7777:7777:7777:77${last + 10}`), "learned");
    }
    const path = join(bench.directory, bench.files()[0]!);
    damage(path);
    assert.equal(bench.open6(OTHER_VM).isHeldElsewhere6(OTHER_ADDRESS_6), true, "its softnet lives: nothing is known");
    await killed.kill();
    assert.deepEqual(readHolders(bench.system), []);
    assert.deepEqual(bench.open6().restored6, []);
    assert.equal(bench.files().length, 2, "only the new ones are there");
  }
});

test(
  "D28 of softnets of one VM that start at the same instant at most one goes on with its binding",
  ROOT,
  async (t) => {
    for (let round = 0; round < 4; round++) {
      const { bench } = await afterCrash(t);
      const softnets = [1, 2, 3, 4].map(() => new OtherSoftnet(t, bench.directory, "7e:1a:00:00:00:01"));
      const told = await Promise.all(softnets.map((softnet) => softnet.line()));
      assert.ok(told.filter((line) => line === "open 10.77.0.5").length <= 1, told.join());
      await Promise.all(softnets.map((softnet) => softnet.kill()));
    }
  },
);

test("softnets that start at the same instant clean up without losing a living one's record", ROOT, async (t) => {
  const bench = new Bench(t);
  bench.open();
  for (let number = 0; number < 200; number++) {
    writeFileSync(
      join(bench.directory, `0123456789abcdef-7e1a00000001-${number.toString(16).padStart(8, "0")}`),
      "left",
    );
  }
  const softnets = [1, 2, 3, 4, 5, 6].map((last) => new OtherSoftnet(t, bench.directory, `7e:1a:00:00:01:0${last}`));
  await Promise.all(softnets.map((softnet) => softnet.line()));
  for (const [index, softnet] of softnets.entries()) {
    assert.equal(await softnet.order(`learn 10.77.2.${index + 1}`), "learned");
  }
  assert.equal(bench.files().length, 7);
  assert.deepEqual(
    readHolders(bench.system).map(({ pid }) => pid),
    softnets.map(({ pid }) => pid),
  );
});

test(
  "a softnet that cleans up takes a file that is just being made for one that was left: it is made again",
  ROOT,
  (t) => {
    const bench = new Bench(t);
    let other: Registration | undefined;
    const lock = (fd: number): boolean => {
      other ??= bench.open(OTHER_VM); // before the new file is locked
      return bench.system.lock(fd);
    };
    const registration = bench.open(VM, NETWORK, { lock });
    assert.equal(bench.files().length, 2);
    assert.ok(bench.learn(registration));
    assert.equal(other?.isHeldElsewhere(ADDRESS), true);
  },
);

test("a file that is being made stays, though a softnet that cleans up saw it before it was locked", ROOT, (t) => {
  const bench = new Bench(t);
  let locked = false;
  let other: Registration | undefined;
  const lock = (fd: number): boolean => {
    locked = bench.system.lock(fd);
    return locked;
  };
  const now = (): number => {
    // What the file is filled with asks for the time. The other one looked a moment ago, and goes on only now.
    if (locked) other ??= bench.open(OTHER_VM, NETWORK, { isLocked: () => false });
    return bench.system.now();
  };
  const registration = bench.open(VM, NETWORK, { lock, now });
  assert.equal(bench.files().length, 2);
  assert.ok(bench.learn(registration));
  assert.ok(other !== undefined);
  assert.equal(bench.open(OTHER_VM + 1).isHeldElsewhere(ADDRESS), true);
});

/** Files as ended softnets leave them, `ends` in microseconds since boot. */
function plant(bench: Bench, number: number, ends: number): void {
  const { system } = bench;
  const { family: _family, expiry: _expiry, ...binding } = boundOf(system, 0x0a000000 + number);
  const record = encodeRecord({
    boot: system.bootId(),
    network: NETWORK,
    mac: VM + number,
    pid: 1,
    state: "bound",
    binding: { ...binding, expires: system.now() + 60_000, expiresSinceBoot: ends },
    claimed: 0,
    written: system.now(),
    writtenSinceBoot: system.sinceBoot(),
  });
  const name = `fedcba9876543210-${(VM + number).toString(16)}-${number.toString(16).padStart(8, "0")}`;
  writeFileSync(join(bench.directory, name), record, { mode: 0o644 });
}

test("of what ended softnets left, so much is kept as the folder bears: those whose leases last longest", ROOT, (t) => {
  const bench = new Bench(t);
  bench.open().close();
  const end = bench.system.sinceBoot() + 60_000_000;
  for (let number = 1; number <= MOST_ENDED + 10; number++)
    plant(bench, number, end + ((number * 7919) % 100_000) * 1000);
  const longest = readHolders(bench.system)
    .map(({ address }) => ((Number(address) - 0x0a000000) * 7919) % 100_000)
    .sort((a, b) => b - a)
    .slice(0, MOST_ENDED);
  bench.open();
  const kept = readHolders(bench.system).map(({ address }) => ((Number(address) - 0x0a000000) * 7919) % 100_000);
  assert.deepEqual(
    kept.sort((a, b) => b - a),
    longest,
  );
});

test("a folder with more records than there can be lets no further VM start, and is named", ROOT, (t) => {
  const bench = new Bench(t);
  bench.open().close();
  const alive = { isLocked: () => true };
  for (let number = 0; number <= MOST_RECORDS; number++) {
    writeFileSync(join(bench.directory, `0123456789abcdef-7e1a00000001-${number.toString(16).padStart(8, "0")}`), "");
  }
  assert.throws(() => bench.open(VM, NETWORK, alive), new RegExp(`${bench.directory} has \\d+ records of VMs`));
});
