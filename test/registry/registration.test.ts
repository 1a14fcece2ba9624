/** Registrations beside each other: who may learn an address (threat row D6), and what the next one finds (D28). */
import assert from "node:assert/strict";
import { chmodSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { readHolders } from "../../src/registry/holders.ts";
import { Registration } from "../../src/registry/registration.ts";
import type { RegistrySystem } from "../../src/registry/system.ts";
import { formatIPv4 } from "../../src/wire/address.ts";
import {
  ADDRESS,
  Bench,
  boundOf,
  MINUTE,
  NETWORK,
  ONLY_LINUX,
  OTHER_ADDRESS,
  OTHER_VM,
  OtherSoftnet,
  VM,
} from "./support.ts";

const SECOND_NETWORK = "bridge br1";

test("the folder and the files are readable by all and writable by root alone", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const before = process.umask(0o077);
  try {
    bench.open();
  } finally {
    process.umask(before);
  }
  assert.equal(statSync(bench.directory).mode & 0o7777, 0o755);
  const [name] = bench.files();
  assert.match(name!, /^[0-9a-f]{16}-7e1a00000001-[0-9a-f]{8}$/);
  assert.equal(statSync(`${bench.directory}/${name}`).mode & 0o7777, 0o644);
  assert.equal(statSync(`${bench.directory}/${name}`).size, 2048);
});

test("who ends as root leaves no record of which there is nothing to go on with", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const kept = bench.open();
  assert.ok(bench.learn(kept));
  const empty = bench.open(OTHER_VM);
  const fixed = bench.open(OTHER_VM + 1);
  assert.ok(fixed.begin({ ...bench.learned().bound, address: OTHER_ADDRESS, origin: "static" }));
  assert.equal(bench.files().length, 3);
  for (const one of [empty, fixed, kept]) one.close();
  const files = bench.files();
  assert.equal(files.length, 1);
  assert.match(files[0]!, /-7e1a00000001-/);
});

test("D6 an address that a live softnet's VM has is held, for others and on its network only", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  const second = bench.open(OTHER_VM);
  const elsewhere = bench.open(OTHER_VM, SECOND_NETWORK);
  assert.ok(bench.learn(first));
  assert.equal(second.isHeldElsewhere(ADDRESS), true);
  assert.equal(second.isHeldElsewhere(OTHER_ADDRESS), false);
  assert.equal(elsewhere.isHeldElsewhere(ADDRESS), false);
  assert.equal(first.isHeldElsewhere(ADDRESS), false, "its own");
});

test("D6 what was given up, replaced or has run out is free again", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  const second = bench.open(OTHER_VM);
  const third = bench.open(OTHER_VM + 1);
  const { bound } = bench.learned();
  assert.ok(bench.learn(first));
  first.follow({ kind: "lost", bound, why: "released" });
  assert.equal(second.isHeldElsewhere(ADDRESS), false);
  assert.ok(bench.learn(second));
  assert.equal(third.isHeldElsewhere(ADDRESS), true);

  // The guard tells of a move in two steps.
  assert.equal(second.isHeldElsewhere(OTHER_ADDRESS), false);
  second.follow({ kind: "lost", bound, why: "replaced" });
  assert.equal(third.isHeldElsewhere(ADDRESS), true);
  assert.equal(third.isHeldElsewhere(OTHER_ADDRESS), true);
  second.follow(bench.learned(OTHER_ADDRESS));
  assert.equal(third.isHeldElsewhere(ADDRESS), false);
  assert.equal(third.isHeldElsewhere(OTHER_ADDRESS), true);

  // A softnet that was stopped does not hold beyond the lease: its guard looks at the clock before the next frame.
  second.follow(bench.learned(OTHER_ADDRESS, { expiry: bench.system.sinceBoot() - 1 }));
  assert.equal(third.isHeldElsewhere(OTHER_ADDRESS), false);
});

test("D6 while one VM is just being given an address, no other gets it", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  const second = bench.open(OTHER_VM);
  assert.equal(first.isHeldElsewhere(ADDRESS), false); // and claimed, until first follows
  assert.equal(second.isHeldElsewhere(ADDRESS), true);
  first.follow(bench.learned());
  assert.equal(second.isHeldElsewhere(ADDRESS), true);
});

test("D6 who was refused claims nothing any more, and keeps what it had", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  const second = bench.open(OTHER_VM);
  assert.ok(bench.learn(first));
  assert.ok(bench.learn(second, OTHER_ADDRESS));
  assert.equal(second.isHeldElsewhere(ADDRESS), true);
  first.follow({ kind: "lost", bound: boundOf(bench.system, ADDRESS), why: "expired" });
  const third = bench.open(OTHER_VM + 1);
  assert.equal(third.isHeldElsewhere(ADDRESS), false);
  assert.equal(third.isHeldElsewhere(OTHER_ADDRESS), true);
});

test("D6 a live record that cannot be read holds every address of its network", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  const second = bench.open(OTHER_VM);
  const third = bench.open(OTHER_VM + 1, SECOND_NETWORK);
  assert.ok(bench.learn(first));
  const [name] = bench.files().filter((file) => file.includes("7e1a00000001"));
  writeFileSync(`${bench.directory}/${name}`, "half a rec");
  assert.equal(second.isHeldElsewhere(OTHER_ADDRESS), true);
  assert.equal(third.isHeldElsewhere(OTHER_ADDRESS), false);
  first.close(); // dead, it holds nothing
  assert.equal(second.isHeldElsewhere(OTHER_ADDRESS), false);
});

test("D6 a registry that cannot be read throws, which the guard takes for held", ONLY_LINUX, (t) => {
  const broken = () => {
    throw new Error("no locks today");
  };
  const bench = new Bench(t);
  const first = bench.open();
  let works = true;
  const isLocked = (fd: number) => (works ? bench.system.isLocked(fd) : broken());
  const second = bench.open(OTHER_VM, NETWORK, { isLocked });
  assert.ok(bench.learn(first));
  works = false;
  assert.throws(() => second.isHeldElsewhere(OTHER_ADDRESS), /no locks today/);
  works = true;
  const third = bench.open(OTHER_VM + 1);
  assert.equal(third.isHeldElsewhere(OTHER_ADDRESS), false, "the failed claim was taken back");
});

test(
  "D28 after SIGKILL the address is free at once, and the next softnet of this VM goes on with it",
  ONLY_LINUX,
  async (t) => {
    const bench = new Bench(t);
    const killed = new OtherSoftnet(t, bench.directory, "7e:1a:00:00:00:01");
    assert.equal(await killed.line(), "open none");
    assert.equal(await killed.order("learn 10.77.0.5"), "learned");
    const other = bench.open(OTHER_VM);
    assert.equal(other.isHeldElsewhere(ADDRESS), true);
    await killed.kill();
    assert.equal(other.isHeldElsewhere(ADDRESS), false);
    other.follow(bench.learned(OTHER_ADDRESS)); // and it takes another one

    const { restored } = bench.open();
    const { expiry, origin: _, ...rest } = boundOf(bench.system, ADDRESS);
    assert.ok(restored !== undefined);
    assert.deepEqual({ ...restored, expiry: 0 }, { ...rest, expiry: 0 });
    assert.ok(Math.abs(restored.expiry - expiry) < MINUTE, "its end has not moved but for the time of this test");
    assert.ok(restored.expiry <= expiry);
    assert.equal(other.isHeldElsewhere(ADDRESS), true, "it is held again");
    assert.equal(bench.files().length, 2, "the killed one's file is gone");
  },
);

test("D28 a released binding is gone on with too, and a second time after another crash", ONLY_LINUX, async (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  assert.ok(bench.learn(first));
  first.released();
  first.close();
  const second = new OtherSoftnet(t, bench.directory, "7e:1a:00:00:00:01");
  assert.equal(await second.line(), "open 10.77.0.5");
  await second.kill();
  assert.equal(formatIPv4(bench.open().restored!.address), "10.77.0.5");
});

test("D28 what the VM itself gave up is not gone on with", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  for (const why of ["released", "declined", "refused", "expired"] as const) {
    const first = bench.open();
    assert.ok(bench.learn(first));
    first.follow({ kind: "lost", bound: boundOf(bench.system, ADDRESS), why });
    first.released();
    first.close();
    const second = bench.open();
    assert.equal(second.restored, undefined, why);
    second.close();
  }
});

test("D28 another MAC, another network: nothing to go on with", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  assert.ok(bench.learn(first));
  first.close();
  assert.equal(bench.open(OTHER_VM).restored, undefined);
  assert.equal(bench.open(VM, SECOND_NETWORK).restored, undefined);
  assert.equal(bench.open(VM, NETWORK, { networkScope: () => "another namespace" }).restored, undefined);
  assert.ok(bench.open().restored);
});

test("D6 D28 nothing is gone on with that another live softnet's VM has got meanwhile", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  assert.ok(bench.learn(first));
  first.released();
  first.close();
  const other = bench.open(OTHER_VM);
  assert.ok(bench.learn(other));
  assert.equal(bench.open().restored, undefined);
});

test(
  "D28 while its first softnet lives, a second one of the same VM goes on with nothing and learns nothing of it",
  ONLY_LINUX,
  (t) => {
    const bench = new Bench(t);
    const first = bench.open();
    assert.ok(bench.learn(first));
    const second = bench.open();
    assert.equal(second.restored, undefined);
    assert.equal(second.isHeldElsewhere(ADDRESS), true);
  },
);

/** What a new registration of the VM finds when the clocks, or the boot, are others by then. */
function laterWith(t: TestContext, wall: number, boot: number, id?: string) {
  const bench = new Bench(t);
  const first = bench.open();
  assert.ok(bench.learn(first));
  first.close();
  const { now, sinceBoot, bootId } = bench.system;
  return bench.open(VM, NETWORK, {
    now: () => now() + wall,
    sinceBoot: () => sinceBoot() + boot,
    bootId: () => id ?? bootId(),
  }).restored;
}

const MILLISECONDS = MINUTE / 1000;

test("D28 time that passed on both clocks is time that passed", ONLY_LINUX, (t) => {
  assert.ok(laterWith(t, 59 * MILLISECONDS, 59 * MINUTE));
  assert.equal(laterWith(t, 61 * MILLISECONDS, 61 * MINUTE), undefined);
});

test(
  "D28 a time of day that was set since, by NTP after the start for example, changes nothing within one boot",
  ONLY_LINUX,
  (t) => {
    const bench = new Bench(t);
    const end = bench.system.sinceBoot() + 60 * MINUTE;
    for (const set of [-20_000_000, -2, 0.5, 1.1, 61, 20_000_000]) {
      const restored = laterWith(t, set * MILLISECONDS, MINUTE);
      assert.ok(restored !== undefined && Math.abs(restored.expiry - end) < MINUTE, `${set} minutes`);
    }
    assert.equal(laterWith(t, -20_000_000 * MILLISECONDS, 61 * MINUTE), undefined);
  },
);

test("D28 what was restored is listed with its end by the clock of now", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  assert.ok(bench.learn(first));
  first.close();
  const day = 24 * 60 * MILLISECONDS;
  const late = { ...bench.system, now: () => bench.system.now() + day };
  for (const restart of [false, true]) {
    if (restart) assert.ok(bench.open(VM, NETWORK, { now: late.now }).restored);
    const [holder] = readHolders(late);
    assert.ok(Math.abs(holder!.expires - late.now() - 60 * MILLISECONDS) < MILLISECONDS);
  }
});

test("D28 why a binding of before is not taken up is told", ONLY_LINUX, (t) => {
  const why = (prepare: (bench: Bench, first: Registration) => Partial<RegistrySystem>): string | undefined => {
    const bench = new Bench(t);
    const first = bench.open();
    assert.ok(bench.learn(first));
    const change = prepare(bench, first);
    first.close();
    const second = bench.open(VM, NETWORK, change);
    assert.equal(second.restored, undefined);
    if (second.notRestored !== undefined) assert.equal(second.notRestored.address, ADDRESS);
    return second.notRestored?.why;
  };
  const { sinceBoot } = new Bench(t).system;
  assert.equal(
    why(() => ({ sinceBoot: () => sinceBoot() + 61 * MINUTE })),
    "its lease is over",
  );
  assert.equal(
    why(() => ({ bootId: () => "00000000-0000-4000-8000-000000000000" })),
    "it is of before the host's last start",
  );
  const other = (bench: Bench, first: Registration): object => {
    first.close();
    assert.ok(bench.learn(bench.open(OTHER_VM), ADDRESS));
    return {};
  };
  assert.equal(why(other), "another softnet's VM has the address now");
  const gaveUp = (_: Bench, first: Registration): object => {
    first.follow({ kind: "lost", bound: boundOf(new Bench(t).system, ADDRESS), why: "released" });
    return {};
  };
  assert.equal(why(gaveUp), undefined, "the VM itself gave it up: there is nothing to tell");
});

test("the path of the control socket is noted, unless it cannot be shown", ONLY_LINUX, (t) => {
  for (const [given, noted] of [
    ["/run/user/1000/vm 1.ctl", "/run/user/1000/vm 1.ctl"],
    [`/${"x".repeat(106)}`, `/${"x".repeat(106)}`],
    [`/${"x".repeat(107)}`, undefined],
    ["/run/\u001b[2J.ctl", undefined],
    ["relative", undefined],
  ] as const) {
    const bench = new Bench(t);
    const registration = Registration.open(bench.system, {
      network: NETWORK,
      mac: VM,
      pid: process.pid,
      control: given,
    });
    t.after(() => registration.close());
    assert.ok(bench.learn(registration));
    assert.equal(readHolders(bench.system)[0]!.control, noted);
  }
});

test("D28 a time since boot before the record's is another boot's", ONLY_LINUX, (t) => {
  assert.equal(laterWith(t, 0, -0.5 * MINUTE), undefined);
});

test("D28 another boot of the host: nothing to go on with, and the record goes", ONLY_LINUX, (t) => {
  assert.equal(laterWith(t, 0, 0, "00000000-0000-4000-8000-000000000000"), undefined);
});

test("D28 a lease for ever stays one", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  assert.ok(bench.learn(first, ADDRESS, { expiry: Number.POSITIVE_INFINITY }));
  first.close();
  assert.equal(bench.open().restored?.expiry, Number.POSITIVE_INFINITY);
});

test(
  "static and served addresses are held and listed while their softnet lives, and nothing is left of them",
  ONLY_LINUX,
  async (t) => {
    for (const origin of ["static", "served"] as const) {
      const bench = new Bench(t);
      const first = bench.open();
      assert.ok(bench.learn(first, ADDRESS, { origin, expiry: Number.POSITIVE_INFINITY }));
      assert.equal(bench.open(OTHER_VM).isHeldElsewhere(ADDRESS), true);
      assert.deepEqual(
        readHolders(bench.system).map(({ state, pid }) => [state, pid]),
        [["live", process.pid]],
      );
      first.close();
      assert.deepEqual(readHolders(bench.system), []);
      assert.equal(bench.open().restored, undefined);
    }
  },
);

test("D28 what was restored but the guard did not take is nobody's", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  assert.ok(bench.learn(first));
  first.close();
  const second = bench.open();
  const other = bench.open(OTHER_VM);
  assert.ok(second.restored);
  assert.equal(other.isHeldElsewhere(ADDRESS), true);
  assert.equal(second.begin(undefined), true);
  assert.equal(other.isHeldElsewhere(ADDRESS), false);
});

test("D6 a static address is settled only while no other live softnet's VM has it", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const { bound } = bench.learned(ADDRESS, { origin: "static", expiry: Number.POSITIVE_INFINITY });
  const first = bench.open();
  const second = bench.open(OTHER_VM);
  assert.equal(first.begin(bound), true);
  assert.equal(second.begin(bound), false);
  assert.equal(second.isHeldElsewhere(OTHER_ADDRESS), false);
  first.close();
  assert.equal(second.begin(bound), true);
});

test("D6 a record that cannot be written throws, and what was claimed stays claimed", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  const second = bench.open(OTHER_VM);
  assert.equal(first.isHeldElsewhere(ADDRESS), false);
  const change = bench.learned(ADDRESS, { expiry: Number.NaN }); // no record has such an end
  assert.throws(() => first.follow(change));
  assert.equal(second.isHeldElsewhere(ADDRESS), true);
});

test("D6 whose record was removed learns nothing: other records may be gone as well", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open();
  assert.equal(first.isHeldElsewhere(ADDRESS), false);
  rmSync(bench.directory, { recursive: true });
  assert.throws(() => first.isHeldElsewhere(OTHER_ADDRESS), /own record is not in/);
  const second = bench.open(OTHER_VM); // makes it anew
  assert.throws(() => first.isHeldElsewhere(OTHER_ADDRESS), /own record is not in/);
  assert.equal(second.isHeldElsewhere(ADDRESS), false);
});

test("a folder that is closed to readers is opened to them", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  bench.open().close();
  chmodSync(bench.directory, 0o700);
  bench.open();
  assert.equal(statSync(bench.directory).mode & 0o7777, 0o755);
});

test("closing twice is harmless", ONLY_LINUX, (t) => {
  const registration = new Bench(t).open();
  registration.close();
  registration.close();
});

test("a folder that others may write to, or that is another's, is not used", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  bench.open().close();
  for (const mode of [0o775, 0o757, 0o1777]) {
    chmodSync(bench.directory, mode);
    assert.throws(() => bench.open(), /users other than root may write to/);
  }
  chmodSync(bench.directory, 0o755);
  assert.throws(() => bench.open(VM, NETWORK, { owner: process.getuid!() + 1 }), /does not belong to root/);
});
