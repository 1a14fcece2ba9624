/** Policy files: what counts, and that a mistake is one line with its number and changes nothing. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { LARGEST_POLICY_FILE, parsePolicy, readPolicyFile } from "../../src/control/policy-file.ts";
import { formatRule, type Rule } from "../../src/policy/rule.ts";
import { actAs } from "../../src/privileges/act-as.ts";
import { UserError } from "../../src/user-error.ts";
import { temporaryFolder } from "../support/folder.ts";

const lines = (rules: readonly Rule[]): string[] => rules.map((rule) => `${rule.action} ${formatRule(rule)}`);

test("rules, comments, empty lines and the line endings of other systems", () => {
  const text = [
    "# the mirror, while it is set up",
    "allow out 203.0.113.7/32:443   # https only",
    "",
    "  \tblock\t10.0.0.0/8 \r",
    "allow in  192.168.64.0/24:22\r",
    "#allow 0.0.0.0/0",
    "block @metadata",
  ].join("\n");
  assert.deepEqual(lines(parsePolicy(text, "f").rules), [
    "allow out 203.0.113.7/32:443",
    "block 10.0.0.0/8",
    "allow in 192.168.64.0/24:22",
    "block @metadata",
  ]);
  assert.deepEqual(parsePolicy("", "f"), { rules: [], only: [] });
});

for (const [what, text, words] of [
  ["a word that is none", "allow @host\npermit @host", /^f line 2: "permit @host" is not a rule: write allow RULE/],
  ["no rule behind the word", "allow", /^f line 1: "allow" is not a rule/],
  ["a list", "allow 10.0.0.0/8,10.1.0.0/16", /^f line 1: allow "10\.0\.0\.0\/8,10\.1\.0\.0\/16" is not a rule/],
  [
    "an address without its length",
    "\n\nblock 10.0.0.1",
    /^f line 3: block "10\.0\.0\.1" .*did you mean 10\.0\.0\.1\/32/,
  ],
  ["a tab behind out", "allow out\t10.0.0.0/8", /^f line 1: /],
  ["capitals", "Allow @host", /^f line 1: /],
] as const) {
  test(`I10 ${what}: an error that names the line`, () => {
    assert.throws(
      () => parsePolicy(text, "f"),
      (error) => error instanceof UserError && words.test(error.message),
    );
  });
}

test("4,096 rules are taken, one more names its line", () => {
  const many = Array.from({ length: 4096 }, (_, index) => `allow 10.${index >> 8}.${index & 255}.0/24\n`).join("");
  assert.equal(parsePolicy(many, "f").rules.length, 4096);
  assert.throws(
    () => parsePolicy(`${many}# last\nblock @host\n`, "f"),
    /^UserError: f line 4098: more than 4096 rules/,
  );
});

test("files that cannot be read are one line with the path", (t) => {
  const folder = temporaryFolder(t);
  const path = (name: string) => join(folder, name);
  assert.throws(() => readPolicyFile(path("none")), /--policy .*none: there is no such file/);
  assert.throws(() => readPolicyFile(folder), /it is not a file/);
  execFileSync("mkfifo", [path("pipe")]);
  assert.throws(() => readPolicyFile(path("pipe")), /it is not a file/);
  assert.throws(() => readPolicyFile("/dev/zero"), /it is not a file/);
  writeFileSync(path("binary"), Uint8Array.of(0x61, 0xff, 0x0a));
  assert.throws(() => readPolicyFile(path("binary")), /it is not UTF-8 text/);
  writeFileSync(path("large"), "#".repeat(LARGEST_POLICY_FILE + 1));
  assert.throws(() => readPolicyFile(path("large")), /larger than 1048576 bytes/);
  writeFileSync(path("largest"), `allow @host\n${"#".repeat(LARGEST_POLICY_FILE - 12)}`);
  symlinkSync(path("largest"), path("link"));
  assert.deepEqual(lines(readPolicyFile(path("link")).rules), ["allow @host"]);
});

test("before the drop a file is read with the rights of whom softnet becomes, and root's come back", {
  skip: process.getuid?.() !== 0 && "needs root to have something to give up",
}, (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  const path = join(folder, "policy");
  writeFileSync(path, "allow @host\n", { mode: 0o600 });
  const nobody = { uid: 65_534, gid: 65_534 };
  const before = [process.geteuid?.(), process.getegid?.(), process.getgroups?.().join()];
  assert.throws(() => actAs(nobody, () => readPolicyFile(path)), /user 65534 may not read it/);
  assert.deepEqual([process.geteuid?.(), process.getegid?.(), process.getgroups?.().join()], before);
  chmodSync(path, 0o644);
  assert.deepEqual(lines(actAs(nobody, () => readPolicyFile(path)).rules), ["allow @host"]);
  chmodSync(path, 0o040); // root's group may read it, nobody may not
  assert.throws(() => actAs(nobody, () => readPolicyFile(path)), /may not read it/);
});

test("only lines are apart; a wrong one names its line and says only", () => {
  const { rules, only } = parsePolicy("only registry.npmjs.org # packages\nblock in 0.0.0.0/0\nonly @dns:853\n", "f");
  assert.deepEqual(lines(rules), ["block in 0.0.0.0/0"]);
  assert.deepEqual(lines(only), ["allow registry.npmjs.org", "allow @dns:853"]);
  assert.throws(() => parsePolicy("\nonly *.com", "f"), /^UserError: f line 2: only "\*\.com" is not a rule: /);
  assert.throws(
    () => parsePolicy("only", "f"),
    /^UserError: f line 1: "only" is not a rule: write allow RULE, block RULE or only RULE/,
  );
});
