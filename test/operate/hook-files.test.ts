/** Names of the libvirt hook's files: one for each card of each domain, whatever the domain is called. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hookFile, hookInstance, hookInstances, isHookInstance } from "../../src/operate/hook-files.ts";
import { isVmName } from "../../src/registry/vm-names.ts";

test("a domain's name stands in the instance as it is, but for what a unit's name cannot have", () => {
  assert.equal(hookInstance("my-vm.1", 0), "my-vm.1:0");
  assert.equal(hookInstance("a b:é", 2), "a:20b:3A:C3:A9:2");
  assert.equal(hookFile("vm1:0"), "/run/softnet/libvirt/vm1:0.conf");
  assert.deepEqual(hookInstances("vm1", ["vm1:0.conf", "vm1:0.pid", "vm1:10.conf", "vm12:0.conf", "vm1.conf"]), [
    "vm1:0",
    "vm1:10",
  ]);
});

test("no word that names another file is taken for an instance", () => {
  for (const word of ["vm1", "vm1:", ":0", "../x:0", "a/b:0", "a:2:0", "a:zz:0", "vm1:0\n", "vm1:000", ""]) {
    assert.equal(isHookInstance(word), false, JSON.stringify(word));
  }
});

test("two cards, or two domains, never have the same file, and each is found by its own domain alone", () => {
  const card = fc.record({
    domain: fc.string({ minLength: 1, unit: "binary" }),
    number: fc.integer({ min: 0, max: 63 }),
  });
  fc.assert(
    fc.property(card, card, (one, other) => {
      const instances = [one, other].map(({ domain, number }) => hookInstance(domain, number));
      for (const instance of instances) {
        assert.ok(isHookInstance(instance));
        assert.ok(!isVmName(instance), "a VM of /etc/softnet/vms cannot have this name");
      }
      const isSame = Buffer.from(one.domain).equals(Buffer.from(other.domain));
      assert.equal(instances[0] === instances[1], isSame && one.number === other.number);
      const found = hookInstances(
        one.domain,
        instances.map((instance) => `${instance}.conf`),
      );
      assert.equal(found.includes(instances[1]!), isSame);
    }),
  );
});
