/** `--vm-ip-address` and the options that need IPv6. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { guardOptions } from "../../src/session/options.ts";
import { parseVmAddresses, refuseWithoutIPv6 } from "../../src/session/vm-addresses.ts";
import { UserError } from "../../src/user-error.ts";

test("one address of each family, in either order", () => {
  assert.deepEqual(parseVmAddresses("10.0.0.5"), { ipv4: "10.0.0.5" });
  assert.deepEqual(parseVmAddresses("fd00::5"), { ipv6: "fd00::5" });
  const both = { ipv4: "10.0.0.5", ipv6: "2001:db8::5" };
  assert.deepEqual(parseVmAddresses("10.0.0.5,2001:db8::5"), both);
  assert.deepEqual(parseVmAddresses("2001:db8::5,10.0.0.5"), both);
});

test("nothing else: two of a family, spaces, zones, what is no unicast address of a network", () => {
  for (const text of [
    "",
    ",",
    "10.0.0.5,",
    "10.0.0.5, fd00::5",
    "10.0.0.5,10.0.0.6",
    "fd00::5,fd00::6",
    "10.0.0.5,fd00::5,fd00::6",
    "fe80::5",
    "fe80::5%eth0",
    "::",
    "::1",
    "::ffff:10.0.0.5",
    "64:ff9b::1",
    "ff02::1",
    "[fd00::5]",
    "fd00::/64",
  ]) {
    assert.equal(parseVmAddresses(text), undefined, text);
  }
});

const MAC = { vmMacAddress: "7e:1a:00:00:00:01" };

test("the guard is given IPv6's options with --ipv6, and no word of them without", () => {
  const given = { ...MAC, ipv6: true, router6: "fe80::1", vmIpAddress: "10.0.0.5,fd00::5" };
  const { macAddress: _, rules: _rules, ...options } = guardOptions(given, []);
  assert.deepEqual(options, { address: "10.0.0.5", ipv6: true, router6: "fe80::1", address6: "fd00::5" });
  assert.deepEqual(Object.keys(guardOptions({ ...MAC, vmIpAddress: "10.0.0.5" }, [])), [
    "macAddress",
    "rules",
    "address",
  ]);
  assert.deepEqual(Object.keys(guardOptions({ ...MAC, ipv6: false }, [])), ["macAddress", "rules"]);
});

test("S10 an option about IPv6 while that is off is a mistake, in one line", () => {
  const refused = (given: object) => assert.throws(() => refuseWithoutIPv6(given), UserError);
  refused({ router6: "fe80::1" });
  refused({ vmIpAddress: "fd00::5" });
  refused({ vmIpAddress: "10.0.0.5,fd00::5", ipv6: false });
  refuseWithoutIPv6({});
  refuseWithoutIPv6({ vmIpAddress: "10.0.0.5" });
  refuseWithoutIPv6({ vmIpAddress: "10.0.0.5,fd00::5", router6: "fe80::1", ipv6: true });
});
