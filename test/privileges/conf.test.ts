/** The grammar of /etc/softnet.conf, and whose file it must be. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseConf, parseSettings } from "../../src/privileges/conf.ts";
import { readConf } from "../../src/privileges/conf-file.ts";
import { temporaryFolder } from "../support/folder.ts";
import { needsRoot } from "../support/tools.ts";

const parse = (text: string) => parseConf(text, "/etc/softnet.conf");
const everybody = { kind: "everybody" } as const;

test("new TAPs by name and prefix, subnets, numbers of VMs", () => {
  const text = `allow-new-tap web0
allow-new-tap web* user alice
allow-subnet 10.9.0.0/24 group kvm
allow-subnet 0.0.0.0/0
max-vms 0
max-vms 4096 user 1001`;
  const alice = { kind: "user", name: "alice" } as const;
  assert.deepEqual(parse(text), [
    { what: "new-tap", name: "web0", isPrefix: false, grantee: everybody },
    { what: "new-tap", name: "web", isPrefix: true, grantee: alice },
    { what: "subnet", subnet: { address: 0x0a090000, length: 24 }, grantee: { kind: "group", name: "kvm" } },
    { what: "subnet", subnet: { address: 0, length: 0 }, grantee: everybody },
    { what: "vms", most: 0, grantee: everybody },
    { what: "vms", most: 4096, grantee: { kind: "user", name: "1001" } },
  ]);
});

test("bridges, TAPs and ports, for users, groups and everybody; comments and empty lines", () => {
  const text = `# softnet

allow-bridge br0 user alice
allow-bridge br-lan   # for everybody
\tallow-tap vm0\tgroup kvm\r
allow-attach vnet0 user alice
allow-ports 80
allow-ports 443-500 user 1001`;
  assert.deepEqual(parse(text), [
    { what: "bridge", name: "br0", grantee: { kind: "user", name: "alice" } },
    { what: "bridge", name: "br-lan", grantee: everybody },
    { what: "tap", name: "vm0", grantee: { kind: "group", name: "kvm" } },
    { what: "attach", name: "vnet0", grantee: { kind: "user", name: "alice" } },
    { what: "ports", first: 80, last: 80, grantee: everybody },
    { what: "ports", first: 443, last: 500, grantee: { kind: "user", name: "1001" } },
  ]);
  assert.deepEqual(parse(""), []);
});

const wrong: readonly (readonly [string, RegExp])[] = [
  ["allow br0", /line 2: "allow" is not known: write one of allow-bridge, .*, vm-net-type/],
  ["toString br0", /line 2: "toString" is not known/],
  ["allow-bridge br*", /line 2: "br\*" is not an interface's name/],
  ["allow-new-tap", /line 2: allow-new-tap wants a name/],
  ["allow-new-tap *", /line 2: "" is not an interface's name/],
  ["allow-new-tap a*b", /line 2: "a\*b"/],
  ["allow-new-tap web**", /line 2: "web\*"/],
  ["allow-subnet", /line 2: allow-subnet wants a subnet/],
  ["allow-subnet 10.9.0.1/24", /line 2: "10.9.0.1\/24" is not a subnet: write A.B.C.D\/N with N up to 30/],
  ["allow-subnet 10.9.0.4/31", /line 2: "10.9.0.4\/31"/],
  ["allow-subnet 10.9.0.4", /line 2: "10.9.0.4"/],
  ["max-vms", /line 2: max-vms wants a number/],
  ["max-vms -1", /line 2: "-1" is not a number of VMs: write 0 to 4096/],
  ["max-vms 4097", /line 2: "4097"/],
  ["max-vms many", /line 2: "many"/],
  ["max-vms 4 alice", /line 2: "alice": write user NAME or group NAME/],
  ["Allow-bridge br0", /line 2: "Allow-bridge"/],
  ["deny-bridge br0", /line 2: "deny-bridge"/],
  ["allow-bridge", /line 2: allow-bridge wants a name/],
  ["allow-bridge # br0", /line 2: allow-bridge wants a name/],
  ["allow-bridge br0 alice", /line 2: "alice": write user NAME or group NAME/],
  ["allow-bridge br0 user", /line 2: user wants a name/],
  ["allow-bridge br0 user alice bob", /line 2: "bob" is too much/],
  ["allow-bridge br0 user alice group kvm", /line 2: "group" is too much/],
  ["allow-bridge ../br0", /line 2: "..\/br0" is not an interface's name/],
  ["allow-tap a-name-of-16-char", /line 2: "a-name-of-16-char"/],
  ["allow-bridge br0,br1:", /line 2: "br0,br1:"/],
  ["allow-ports", /line 2: allow-ports wants a port/],
  ["allow-ports 0", /line 2: "0" is not a port/],
  ["allow-ports 65536", /line 2: "65536"/],
  ["allow-ports 90-80", /line 2: "90-80"/],
  ["allow-ports 80,443", /line 2: "80,443"/],
  ["allow-ports all", /line 2: "all"/],
  ["allow-ports 80 everybody", /line 2: "everybody"/],
];

for (const [line, words] of wrong) {
  test(`refused with its line: ${line}`, () => {
    assert.throws(() => parse(`allow-bridge br9\n${line}\nallow-bridge br8`), words);
  });
}

test("a file that is not there allows nothing", (t) => {
  assert.equal(readConf(join(temporaryFolder(t), "softnet.conf")), "");
});

test("only a file that root alone can write is believed", needsRoot(), (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "softnet.conf");
  writeFileSync(path, "allow-bridge br0\n");
  for (const mode of [0o644, 0o600, 0o444, 0o640]) {
    chmodSync(path, mode);
    assert.equal(readConf(path), "allow-bridge br0\n");
  }
  for (const mode of [0o664, 0o646, 0o666, 0o620]) {
    chmodSync(path, mode);
    assert.throws(() => readConf(path), /can be written by others than root: run "chmod go-w/);
  }
  chmodSync(path, 0o644);
  symlinkSync(path, join(folder, "link"));
  assert.equal(readConf(join(folder, "link")), "allow-bridge br0\n");
  chownSync(path, 1000, 0);
  assert.throws(() => readConf(path), /belongs to user 1000/);
  assert.throws(() => readConf(join(folder, "link")), /belongs to user 1000/);
  chownSync(path, 0, 0);
  truncateSync(path, 100_000);
  assert.throws(() => readConf(path), /has 100000 bytes/);
  mkdirSync(join(folder, "folder"));
  assert.throws(() => readConf(join(folder, "folder")), /is not a file/);
  assert.throws(() => readConf("/dev/null"), /is not a file/);
});

test("the network's type for callers that give none: the last line counts, and it is no permission", () => {
  const text = "vm-net-type nat\nallow-ports 80\nvm-net-type private # for Tart\n";
  assert.deepEqual(parseSettings(text, "/etc/softnet.conf"), { vmNetType: "private" });
  assert.deepEqual(parse(text), [{ what: "ports", first: 80, last: 80, grantee: everybody }]);
  assert.deepEqual(parseSettings("allow-ports 80", "/etc/softnet.conf"), {});
  for (const [line, error] of [
    ["vm-net-type", /line 2: vm-net-type wants nat or host or private/],
    ["vm-net-type bridged", /line 2: vm-net-type wants nat or host or private/],
    ["vm-net-type private user alice", /line 2: "user" is too much/],
  ] as const) {
    assert.throws(() => parseSettings(`\n${line}`, "/etc/softnet.conf"), error);
    assert.throws(() => parse(`\n${line}`), error);
  }
});

test("ipv6 is a setting for all users, and no permission", () => {
  const text = "allow-ports 80\nipv6 # for Tart\nvm-net-type host\n";
  assert.deepEqual(parseSettings(text, "/etc/softnet.conf"), { vmNetType: "host", ipv6: true });
  assert.deepEqual(parse(text), [{ what: "ports", first: 80, last: 80, grantee: everybody }]);
  for (const line of ["ipv6 yes", "ipv6 user alice"]) {
    assert.throws(() => parse(`\n${line}`), /line 2: ".*" is too much: ipv6 is for all users/);
  }
});
