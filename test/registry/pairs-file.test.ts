/** The addresses of names beside a VM's record: what the next softnet takes up, and what it does not (threat row D28). */
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { type TestContext, test } from "node:test";
import type { NamePair } from "../../src/guard/types.ts";
import { checkedLine } from "../../src/registry/checked-line.ts";
import { decodePairs, encodePairs, LARGEST_PAIRS } from "../../src/registry/pairs-file.ts";
import { Registration } from "../../src/registry/registration.ts";
import type { RegistrySystem } from "../../src/registry/system.ts";
import { parseIPv4 } from "../../src/wire/address.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";
import { Bench, boundIPv6, LINK_LOCAL, learn6, MINUTE, NETWORK, ONLY_LINUX, VM } from "./support.ts";

const SECOND = 1_000_000;
const DAY = 86_400;
const NOW = 5000 * SECOND;

const pair = (name: string, address: string, seconds = 3600, now = NOW): NamePair => ({
  name,
  address: parseIPv4(address) ?? parseIPv6(address)!,
  verifiedEnd: now + Math.max(seconds, 3600) * SECOND,
  otherEnd: now + seconds * SECOND,
});

/** A file as it is written, but for what `change` does to its JSON. */
function damaged(change: (text: string) => string): Uint8Array {
  const text = Buffer.from(encodePairs([pair("a.example.com", "192.0.2.1")], NOW)).toString("latin1");
  return checkedLine(change(text.slice(9).trimEnd()));
}

test("pairs come back as they were written, the one whose answer is the oldest first", () => {
  const pairs = [
    pair("a.example.com", "192.0.2.1"),
    pair("e_1.example.com", "2001:db8::1", 60),
    pair("a.example.com", "192.0.2.2", DAY),
  ];
  const back = decodePairs(encodePairs(pairs, NOW), NOW + SECOND);
  assert.deepEqual(
    back.map(({ name, address }) => [name, address]).sort(),
    pairs.map(({ name, address }) => [name, address]).sort(),
  );
  const of = (list: readonly NamePair[]) => list.filter(({ name }) => name === "a.example.com");
  assert.deepEqual(of(back), of(pairs));
});

test("of pairs that do not fit the youngest are kept, and the file has its size at the most", () => {
  const pairs = Array.from({ length: 8192 }, (_, index) =>
    pair(`${"n".repeat(60)}.${index % 4096}.example.com`, `192.${index >> 16}.${(index >> 8) & 255}.${index & 255}`),
  );
  const bytes = encodePairs(pairs, NOW);
  assert.ok(bytes.length <= LARGEST_PAIRS);
  const back = decodePairs(bytes, NOW);
  assert.ok(back.length > 500);
  const kept = new Set(back.map(({ address }) => address));
  for (const [index, { address }] of pairs.entries()) assert.equal(kept.has(address), index >= 8192 - back.length);
});

test("a pair that is over is not written and not taken up, and a name with other bytes is left out", () => {
  const over = { ...pair("over.example.com", "192.0.2.1"), verifiedEnd: NOW, otherEnd: NOW };
  const odd = pair("a\\000.example.com", "192.0.2.2");
  const bytes = encodePairs([over, odd, pair("a.example.com", "192.0.2.3", 60)], NOW);
  assert.deepEqual(
    decodePairs(bytes, NOW).map(({ name }) => name),
    ["a.example.com"],
  );
  assert.deepEqual(decodePairs(bytes, NOW + 3600 * SECOND + 1), []);
});

test("D28 a file that is damaged, of later than now, or with what no answer can have taught gives no pair at all", () => {
  assert.equal(
    decodePairs(
      damaged((text) => text),
      NOW,
    ).length,
    1,
    "the control",
  );
  const late = Math.floor(NOW / SECOND) + DAY + 1;
  const wrong: readonly (readonly [string, Uint8Array])[] = [
    ["an end later than a day", damaged((text) => text.replace("8600,8600", `${late},8600`))],
    ["the shorter end later than the longer", damaged((text) => text.replace("8600,8600", "8600,8601"))],
    ["an end that is no number", damaged((text) => text.replace("8600,8600", "null,8600"))],
    ["a broken end", damaged((text) => text.replace("8600,8600", "8600.5,8600"))],
    ["a negative end", damaged((text) => text.replace("8600,8600", "8600,-1"))],
    ["an end too many", damaged((text) => text.replace("8600,8600", "8600,8600,8600"))],
    ["no address", damaged((text) => text.replace("192.0.2.1", "192.0.2.256"))],
    ["no name", damaged((text) => text.replace("a.example.com", "a example.com"))],
    ["a name with a line's end", damaged((text) => text.replace("a.example.com", "a\\\\n.example.com"))],
    ["another version", damaged((text) => text.replace('"version":1', '"version":2'))],
    ["written later than now", damaged((text) => text.replace(String(NOW), String(NOW + 1)))],
    ["not JSON", damaged((text) => text.slice(1))],
    ["a list in an object's place", damaged(() => "[]")],
    ["lists in lists", damaged(() => "[".repeat(60_000))],
    ["nothing", new Uint8Array(0)],
  ];
  for (const [what, bytes] of wrong) assert.deepEqual(decodePairs(bytes, NOW), [], what);
  const whole = encodePairs([pair("a.example.com", "192.0.2.1")], NOW);
  for (let at = 0; at < whole.length; at++) {
    assert.deepEqual(decodePairs(whole.subarray(0, at), NOW), [], `cut at ${at}`);
    const other = whole.slice();
    other[at]! ^= 1;
    assert.deepEqual(decodePairs(other, NOW), [], `another byte at ${at}`);
  }
});

test("what is left behind a shorter file does not count", () => {
  const long = encodePairs([pair("a.example.com", "192.0.2.1"), pair("b.example.com", "192.0.2.2")], NOW);
  const short = encodePairs([pair("c.example.com", "192.0.2.3")], NOW);
  const file = long.slice();
  file.set(short);
  assert.deepEqual(
    decodePairs(file, NOW).map(({ name }) => name),
    ["c.example.com"],
  );
});

/* Beside a record. */

class PairsBench extends Bench {
  start(
    change: Partial<RegistrySystem> = {},
    more: { mac?: number; network?: string; ipv6?: boolean } = {},
  ): Registration {
    const options = { network: NETWORK, mac: VM, pid: process.pid, pairs: true, ...more };
    return Registration.open({ ...this.system, ...change }, options);
  }

  /** A softnet that has learned an address and a name, and has ended. */
  before(): void {
    const first = this.start();
    assert.ok(this.learn(first));
    first.keepPairs([this.pair()]);
    first.close();
  }

  pair = (): NamePair => pair("a.example.com", "192.0.2.1", 3600, this.system.sinceBoot());

  get path(): string {
    return `${this.directory}/${this.files().find((name) => name.endsWith(".pairs"))}`;
  }
}

function open(t: TestContext, bench: PairsBench, ...args: Parameters<PairsBench["start"]>): readonly string[] {
  const registration = bench.start(...args);
  t.after(() => registration.close());
  return registration.restoredPairs.map(({ name }) => name);
}

test(
  "D28 the next softnet for the VM takes its pairs up with its address; only root can read them",
  ONLY_LINUX,
  (t) => {
    const bench = new PairsBench(t);
    bench.before();
    assert.equal(statSync(bench.path).mode & 0o7777, 0o600);
    assert.deepEqual(open(t, bench), ["a.example.com"]);
    assert.equal(bench.files().length, 2, "the earlier files are gone");
    assert.match(readFileSync(bench.path, "latin1"), /a\.example\.com/, "and what they said is in the new one");
  },
);

test("D28 pairs are taken up for the same VM, network, boot and lease only", ONLY_LINUX, (t) => {
  const others: readonly (readonly [string, ...Parameters<PairsBench["start"]>])[] = [
    ["another VM", {}, { mac: VM + 1 }],
    ["another network", {}, { network: "bridge br1" }],
    ["another boot", { bootId: () => "another" }],
    ["the lease is over", { sinceBoot: () => new Bench(t).system.sinceBoot() + 61 * MINUTE }],
  ];
  for (const [what, ...args] of others) {
    const bench = new PairsBench(t);
    bench.before();
    assert.deepEqual(open(t, bench, ...args), [], what);
  }
});

test("D28 pairs are taken up with an IPv6 address alone", ONLY_LINUX, (t) => {
  const bench = new PairsBench(t);
  const first = bench.start({}, { ipv6: true });
  assert.ok(learn6(first, boundIPv6(LINK_LOCAL)));
  first.keepPairs([bench.pair()]);
  first.close();
  assert.deepEqual(open(t, bench, {}, { ipv6: true }), ["a.example.com"]);
});

test(
  "D28 a file of pairs that others may write, that is a link, too long or gone gives none, and the VM its address",
  ONLY_LINUX,
  (t) => {
    const changes: Record<string, (path: string) => void> = {
      "writable by others": (path) => chmodSync(path, 0o622),
      "a link": (path) => {
        renameSync(path, `${path}-moved`);
        symlinkSync(`${path}-moved`, path);
      },
      "too long": (path) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(LARGEST_PAIRS)])),
      gone: (path) => unlinkSync(path),
      damaged: (path) => writeFileSync(path, "hello\n"),
    };
    for (const [what, change] of Object.entries(changes)) {
      const bench = new PairsBench(t);
      bench.before();
      change(bench.path);
      const registration = bench.start();
      t.after(() => registration.close());
      assert.deepEqual(registration.restoredPairs, [], what);
      assert.ok(registration.restored, what);
    }
  },
);

test(
  "no pairs are left without a record: a softnet with nothing to go on with, a sweep, an older softnet",
  ONLY_LINUX,
  (t) => {
    const bench = new PairsBench(t);
    const empty = bench.start();
    empty.keepPairs([bench.pair()]);
    assert.equal(bench.files().length, 2);
    empty.close();
    assert.deepEqual(bench.files(), []);

    bench.before();
    const later = { sinceBoot: () => bench.system.sinceBoot() + 61 * MINUTE };
    bench.start(later, { mac: VM + 1 }).close();
    assert.deepEqual(bench.files(), [], "the lease was over");

    bench.before();
    const { path } = bench;
    unlinkSync(path.replace(".pairs", ""));
    const live = bench.start({}, { mac: VM + 1 });
    t.after(() => live.close());
    assert.ok(!existsSync(path));
    assert.equal(bench.files().length, 2, "a live one's are not touched");
    bench.start({}, { mac: VM + 2 }).close();
    assert.equal(bench.files().length, 2);
  },
);
