/** What an agent and an operator take from NATS is bounded, and nothing of it is relied upon. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { Claims, describeConflict } from "../../src/fleet/claims.ts";
import { DocumentStore, textOfEntry } from "../../src/fleet/document-store.ts";
import { readKept, writeKept } from "../../src/fleet/kept-documents.ts";
import { KnownVms } from "../../src/fleet/known-vms.ts";
import { STATE_LIFE } from "../../src/fleet/places.ts";
import { readRecord, writeRecord } from "../../src/fleet/state-record.ts";
import { temporaryFolder } from "../support/folder.ts";

const blocks = (count: number): string => JSON.stringify({ block: Array(count).fill("192.0.2.1/32") });

test("documents that are too many bytes together are mistakes, and what is deleted makes room again", () => {
  const store = new DocumentStore(200);
  assert.ok(store.take("group.a", { revision: 1, text: blocks(10) }));
  assert.ok(store.take("group.b", { revision: 2, text: blocks(10) }));
  assert.match(String(store.entries.get("group.b")!.document), /more than 200 bytes together/);
  assert.deepEqual(store.counts, { valid: 1, wrong: 1 });
  assert.ok(store.take("group.a", { revision: 3 }));
  assert.ok(store.take("group.b", { revision: 4, text: blocks(10) }));
  assert.deepEqual(store.counts, { valid: 1, wrong: 0 });
  assert.deepEqual(store.entries.get("group.b")!.revision, 4);
});

test("an older revision, or a key that is no document's, changes nothing", () => {
  const store = new DocumentStore();
  assert.ok(store.take("all", { revision: 5, text: blocks(1) }));
  assert.ok(!store.take("all", { revision: 4, text: "{}" }));
  for (const key of ["all.x", "vm", "vm.*", "other.x", "__proto__"]) assert.ok(!store.take(key, { revision: 9 }), key);
  assert.deepEqual([...store.entries.keys()], ["all"]);
});

test("a document that is wrong stays wrong over a start without NATS, with its reason", (t) => {
  const state = temporaryFolder(t);
  const store = new DocumentStore();
  store.take("all", { revision: 1, text: '{"block":["nonsense"]}' });
  store.take("vm.long", { revision: 2, text: textOfEntry(Buffer.alloc(1_000_000, " ")) });
  store.take("vm.one", { revision: 3, text: blocks(1) });
  store.take("vm.gone", { revision: 4 });
  writeKept(state, { entries: Object.fromEntries(store.kept), own: {} });
  const again = new DocumentStore();
  for (const [key, kept] of Object.entries(readKept(state).entries)) again.take(key, kept);
  assert.match(String(again.entries.get("all")!.document), /nonsense/);
  assert.match(String(again.entries.get("vm.long")!.document), /longer than 262144 bytes/);
  assert.deepEqual(again.entries.get("vm.one"), store.entries.get("vm.one"));
  assert.deepEqual(again.entries.get("vm.gone"), { revision: 4, document: undefined });
  assert.deepEqual(again.counts, { valid: 1, wrong: 2 });
});

const STATE = { inForce: 0, document: undefined, since: undefined, error: undefined, silent: undefined };

test("a record says of whom it is by its key alone, and what a softnet says cannot make it too long", () => {
  const lie = Buffer.from('{"host":"h2","name":"db","wanted":7}');
  assert.deepEqual(readRecord("h1.a=2Eb", lie), { host: "h1", name: "a.b", wanted: 7 });
  for (const key of ["h1", "h1.a.b", "h1.", ".a", "h1.$x"]) assert.equal(readRecord(key, lie), undefined, key);
  for (const text of ["", "[1", "7", "null"]) assert.equal(readRecord("h1.a", Buffer.from(text)), undefined, text);
  assert.deepEqual(readRecord("h1.a", Buffer.from("[7]")), { host: "h1", name: "a" });
  assert.equal(readRecord("h1.a", Buffer.alloc(70_000, " ")), undefined);
  const status = { mac: "x".repeat(100_000), counters: {} };
  const told = { host: "h1", name: "a", labels: ["web"], sharedNetwork: undefined, wanted: undefined };
  const record = readRecord("h1.a", Buffer.from(writeRecord({ ...told, state: { ...STATE, status } })));
  assert.deepEqual([record?.labels, record?.reachable, record?.mac], [["web"], true, undefined]);
});

const on = (sharedNetwork: string | null, ...addresses: readonly string[]) => ({
  ...{ host: "", name: "", told: "", sharedNetwork, reachable: true },
  ...{ binding: { address: addresses[0] }, ipv6: addresses.slice(1).map((address) => ({ address })) },
});

test("an address that VMs on two hosts have on one network is a conflict, until one of them has it no more", () => {
  const claims = new Claims();
  const one = on("lan", "10.0.0.5", "2001:db8::5");
  assert.deepEqual(claims.set("h1", "a", one), { began: [], ended: [] });
  assert.deepEqual(claims.set("h1", "b", on("lan", "10.0.0.6")).began, []);
  const claimed = [
    { host: "h1", vm: "a" },
    { host: "h2", vm: "c" },
  ];
  const conflict = { network: "lan", address: "2001:db8::5", claims: claimed };
  assert.deepEqual(claims.set("h2", "c", on("lan", "10.0.0.7", "2001:db8::5")).began, [conflict]);
  assert.deepEqual(claims.set("h2", "c", on("lan", "10.0.0.7", "2001:db8::5")), { began: [], ended: [] }, "told once");
  assert.deepEqual(claims.of("h1", "a"), [conflict]);
  assert.deepEqual(claims.of("h1", "b"), []);
  assert.equal(describeConflict(conflict, "h1", "a"), "2001:db8::5 on lan is claimed by h2/c too");
  assert.deepEqual(claims.set("h2", "c", { ...on("lan", "10.0.0.7", "2001:db8::5"), reachable: false }).ended, [
    conflict,
  ]);
  assert.deepEqual(claims.of("h1", "a"), []);
});

test("no conflict: other networks, unnamed ones (a nat VM's is its own), and two VMs of one host", () => {
  const claims = new Claims();
  claims.set("h1", "a", on("lan", "10.0.0.5"));
  for (const other of [on("dmz", "10.0.0.5"), on(null, "10.0.0.5"), { ...on("lan"), binding: null }]) {
    assert.deepEqual(claims.set("h2", "b", other).began, []);
  }
  claims.set("h3", "c", on(null, "10.0.0.5"));
  claims.set("h4", "d", on(null, "10.0.0.5"));
  assert.deepEqual(claims.of("h3", "c"), []);
  assert.deepEqual(claims.set("h1", "e", on("lan", "10.0.0.5")).began, [], "that host's registry decides");
});

test("whoever watches forgets what no agent tells of any more, and one host cannot fill its memory", () => {
  let now = 0;
  const vms = new KnownVms(() => now);
  const tell = (host: string, name: string) =>
    vms.take({ host, name, record: { ...on("lan", "10.0.0.5"), host, name } });
  tell("h1", "a");
  now = STATE_LIFE - 1_000;
  assert.equal(tell("h2", "b").began.length, 1);
  assert.deepEqual(vms.forgetOld().ended, []);
  now = STATE_LIFE + 1_000;
  assert.equal(vms.forgetOld().ended.length, 1);
  for (let index = 0; index < 3_000; index++) tell("h2", `vm${index}`);
  assert.equal(vms.claims.of("h2", "vm0").length, 0);
  assert.equal(tell("h1", "a").began[0]!.claims.length, 1_001, "1,000 of h2's");
});

test("documents are kept under Node's permission model too, as the packaged executable has it", (t) => {
  const state = temporaryFolder(t);
  const module = new URL("../../src/fleet/kept-documents.ts", import.meta.url).href;
  const script = `import { writeKept } from ${JSON.stringify(module)};
    writeKept(${JSON.stringify(state)}, { entries: { all: { revision: 7, text: "{}" } }, own: {} });`;
  const rights = ["--permission", "--allow-fs-read=*", "--allow-fs-write=*", "--allow-addons"];
  const { status, stderr } = spawnSync(process.execPath, [...rights, "--input-type=module", "--eval", script], {
    encoding: "utf8",
  });
  assert.deepEqual([status, readKept(state).entries], [0, { all: { revision: 7, text: "{}" } }], stderr);
});
