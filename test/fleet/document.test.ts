/** Documents of the fleet's policy: which one decides for a VM, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Entry, type FleetVm, parseDocument, placeOf, wantedFor } from "../../src/fleet/document.ts";
import { describeKey, nameOf, token } from "../../src/fleet/places.ts";
import { UserError } from "../../src/user-error.ts";

const VM: FleetVm = { name: "web.1", host: "h1", labels: ["web", "prod"] };

type Given = readonly [key: string, revision: number, text?: string];

function entries(...given: readonly Given[]): Map<string, Entry> {
  return new Map(
    given.map(([key, revision, text]) => {
      const document = text === undefined ? undefined : parseDocument(text);
      return [key, { revision, document }] as const;
    }),
  );
}

const blocks = (address: string): string => JSON.stringify({ block: [address] });
const decides = (...given: readonly Given[]): readonly [string | undefined, number] => {
  const { key, revision } = wantedFor(VM, entries(...given));
  return [key, revision];
};

test("the most specific document decides alone: the VM's, its labels' in its order, its host's, that of all", () => {
  const all = ["all", 1, blocks("10.0.0.1/32")] as const;
  const host = ["host.h1", 2, blocks("10.0.0.2/32")] as const;
  const prod = ["group.prod", 3, blocks("10.0.0.3/32")] as const;
  const web = ["group.web", 4, blocks("10.0.0.4/32")] as const;
  const own = ["vm.web=2E1", 5, blocks("10.0.0.5/32")] as const;
  assert.deepEqual(decides(all), ["all", 1]);
  assert.deepEqual(decides(host, all), ["host.h1", 2]);
  assert.deepEqual(decides(all, prod, host), ["group.prod", 3]);
  assert.deepEqual(decides(all, prod, host, web), ["group.web", 4]);
  assert.deepEqual(decides(all, prod, host, web, own), ["vm.web=2E1", 5]);
  const { policy } = wantedFor(VM, entries(all, own));
  assert.deepEqual(policy, { ...parseDocument(blocks("10.0.0.5/32")) });
  assert.deepEqual(decides(["vm.other", 9, blocks("10.0.0.1/32")], ["host.h2", 8, blocks("10.0.0.1/32")]), [
    undefined,
    0,
  ]);
});

test("the revision is of the last change that concerns the VM, also of one that took a document away", () => {
  assert.deepEqual(decides(["all", 3, blocks("10.0.0.1/32")], ["vm.web=2E1", 7]), ["all", 7]);
  assert.deepEqual(decides(["vm.web=2E1", 7]), [undefined, 7]);
});

test("a document that is wrong is not passed over: the VM keeps what it has, and the mistake is told", () => {
  const wrong = new UserError("a mistake");
  const known = entries(["all", 1, blocks("10.0.0.1/32")]);
  known.set("vm.web=2E1", { revision: 2, document: wrong });
  assert.equal(wantedFor(VM, known).policy, wrong);
});

test("a share of the VMs gets what is next, the same ones as long as it grows, and all of them at 100", () => {
  const vms = Array.from({ length: 2000 }, (_, index): FleetVm => ({ name: `vm${index}`, host: "h", labels: [] }));
  let before = new Set<string>();
  for (const share of [0, 1, 10, 50, 100]) {
    const text = JSON.stringify({ block: ["10.0.0.1/32"], next: { share, block: ["10.0.0.2/32"] } });
    const known = entries(["all", 1, text]);
    const now = new Set(vms.filter((vm) => wantedFor(vm, known).isNext).map(({ name }) => name));
    assert.ok(Math.abs(now.size - share * 20) <= 60, `${now.size} of 2000 for ${share} %`);
    assert.ok([...before].every((name) => now.has(name)));
    before = now;
  }
  assert.equal(before.size, 2000);
  assert.ok(vms.every((vm) => placeOf(vm) >= 0 && placeOf(vm) < 100));
});

test("rules come in normal form, and an only list stands for what it closes", () => {
  const document = parseDocument(
    '{"allow":["out 10.1.2.3/8:443-443"],"only":["Registry.npmjs.org."],"limits":["out 1M/s"]}',
  );
  assert.ok(document.allow.includes("out 10.0.0.0/8:443") && document.allow.includes("registry.npmjs.org"));
  assert.deepEqual(document.block, ["out 0.0.0.0/0"]);
  assert.deepEqual(document.limits, ["out 1M/s"]);
});

test("what is no document is refused in one line that names it", () => {
  for (const [text, message] of [
    ["", /no JSON/],
    ["[]", /it is no object/],
    ["null", /it is no object/],
    ['{"alow":[]}', /the key "alow" is not known/],
    ['{"allow":"10.0.0.0/8"}', /allow is no list of strings/],
    ['{"allow":[1]}', /allow is no list of strings/],
    ['{"allow":["nonsense"]}', /nonsense/],
    ['{"limits":["out 1/s"]}', /the rate is out of range/],
    ['{"only":[]}', /only "" has no rule/],
    ['{"next":{"share":101}}', /next\.share is no whole number/],
    ['{"next":{"share":1,"next":{}}}', /the key "next" is not known/],
    [JSON.stringify({ block: Array(20_000).fill("10.0.0.1/32") }), /longer than/],
  ] as const) {
    assert.throws(() => parseDocument(text), message, text.slice(0, 40));
  }
});

test("names are one token of a subject each, and come back as they were", () => {
  for (const name of ["web", "a.b.c", "A_1-2", "x..y"]) {
    assert.doesNotMatch(token(name), /[.*> ]/);
    assert.equal(nameOf(token(name)), name);
  }
  assert.equal(describeKey("vm.web=2E1"), "vm web.1");
  for (const key of ["vm", "vm.", "vm.a.b", "other.a", "vm.*", "host.>"])
    assert.equal(describeKey(key), undefined, key);
});
