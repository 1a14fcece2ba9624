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

const MANAGER = {
  "/run/NetworkManager/dnsmasq.pid": "4711\n",
  "/proc/4711/comm": "dnsmasq\n",
  "/run/NetworkManager/no-stub-resolv.conf": "nameserver 192.168.1.1\nnameserver fe80::1\nnameserver 10.0.0.53\n",
};
const DEBIAN = {
  "/run/dnsmasq/dnsmasq.pid": "815\n",
  "/proc/815/comm": "dnsmasq\n",
  "/run/dnsmasq/resolv.conf": "nameserver 9.9.9.9\n",
};

test("behind a dnsmasq of NetworkManager's, or of Debian's under resolvconf, the servers that it asks", () => {
  for (const stub of ["127.0.0.1", "127.0.1.1"]) {
    const host = { "/etc/resolv.conf": `search x\nnameserver ${stub}\n` };
    assert.deepEqual(found({ ...host, ...MANAGER }), ["192.168.1.1", "10.0.0.53"]);
    assert.deepEqual(found({ ...host, ...DEBIAN }), ["9.9.9.9"]);
    const ofTheOther = { ...MANAGER, "/run/NetworkManager/no-stub-resolv.conf": "" };
    assert.deepEqual(found({ ...host, ...ofTheOther, ...DEBIAN }), ["9.9.9.9"], "the first one asks nobody");
  }
});

test("servers in a file of a stub that does not run, or is not the one that the host asks, are nobody's", () => {
  const asks = (stub: string) => ({ "/etc/resolv.conf": `nameserver ${stub}\n` });
  for (const files of [
    { ...asks("127.0.0.1"), ...MANAGER, "/run/NetworkManager/dnsmasq.pid": "" },
    { ...asks("127.0.0.1"), ...DEBIAN, "/run/dnsmasq/dnsmasq.pid": "" },
    { ...asks("127.0.0.1"), ...MANAGER, "/proc/4711/comm": "" },
    { ...asks("127.0.0.1"), ...DEBIAN, "/proc/815/comm": "sleep\n" },
    { ...asks("127.0.0.1"), ...DEBIAN, "/run/dnsmasq/dnsmasq.pid": "../815" },
    { ...asks("127.0.0.1"), "/run/systemd/resolve/resolv.conf": "nameserver 10.0.0.53\n" },
    { ...asks("127.0.0.53"), ...MANAGER, ...DEBIAN },
    { ...asks("127.0.0.2"), ...MANAGER, ...DEBIAN },
    { ...asks("::1"), ...MANAGER, ...DEBIAN },
    { ...asks("127.0.0.1"), ...MANAGER, "/run/NetworkManager/no-stub-resolv.conf": "nameserver 127.0.0.1\n" },
  ]) {
    assert.throws(() => found(files), { name: UserError.name, message: /^[^\n]*--dns[^\n]*$/ });
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
