import assert from "node:assert/strict";
import { test } from "node:test";
import { findResolvers, nameservers, parseResolvers, usableServers } from "../../../src/networks/nat/resolvers.ts";
import { UserError } from "../../../src/user-error.ts";
import { formatIPv4 } from "../../../src/wire/address.ts";

const host =
  (files: Readonly<Record<string, string>>) =>
  (path: string): string =>
    files[path] ?? "";
const found = (files: Readonly<Record<string, string>>, given?: string): string[] =>
  findResolvers(given, host(files)).map(formatIPv4);

test("resolv.conf's nameservers, whatever stands around them", () => {
  const text =
    "# no\n; no\nnameserver 9.9.9.9\nsearch x\nnameserver\t1.1.1.1 # yes\nnameserver ::1\n nameserver 8.8.8.8\n";
  assert.deepEqual(nameservers(text), ["9.9.9.9", "1.1.1.1", "::1"]);
  assert.deepEqual(usableServers(text).map(formatIPv4), ["9.9.9.9", "1.1.1.1"]);
});

test("the host's own servers, private ones too", () => {
  assert.deepEqual(found({ "/etc/resolv.conf": "nameserver 192.168.1.1\nnameserver 127.0.0.1\n" }), ["192.168.1.1"]);
});

test("behind systemd's stub, the servers that it asks", () => {
  const behind = "nameserver 10.0.0.53\nnameserver fe80::1\n";
  for (const stub of ["127.0.0.53", "127.0.0.54"]) {
    const files = { "/etc/resolv.conf": `nameserver ${stub}\n`, "/run/systemd/resolve/resolv.conf": behind };
    assert.deepEqual(found(files), ["10.0.0.53"]);
  }
});

test("none left is one line that names --dns", () => {
  const behind = { "/run/systemd/resolve/resolv.conf": "nameserver 10.0.0.53\n" };
  for (const files of [{}, { "/etc/resolv.conf": "nameserver 127.0.0.1\nnameserver ::1\n", ...behind }]) {
    assert.throws(() => found(files), { name: UserError.name, message: /--dns/ });
  }
});

test("--dns wins, and takes nothing else than addresses that a VM can reach", () => {
  assert.deepEqual(found({ "/etc/resolv.conf": "nameserver 1.1.1.1" }, "9.9.9.9, 10.0.0.53"), ["9.9.9.9", "10.0.0.53"]);
  for (const wrong of [
    "",
    "dns.example",
    "9.9.9.9,",
    "127.0.0.53",
    "224.0.0.1",
    "::1",
    Array(9).fill("9.9.9.9").join(),
  ]) {
    assert.throws(() => parseResolvers(wrong), { name: UserError.name, message: /^--dns / }, wrong);
  }
});
