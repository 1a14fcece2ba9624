/**
 * The name under which the packaged executable is started (argv[0]) is its caller's to choose, and Node puts it where a
 * script's name would be: one that begins with a dash must not become an option of Node's.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { LIMIT } from "../support/patience.ts";
import { Accounts, ALICE } from "./harness/accounts.ts";
import { Lab, labNeeds } from "./harness/topology.ts";

const PYTHON = "/usr/bin/python3";
/** Runs argv[1] under the name argv[2]. */
const UNDER_A_NAME = "import os, sys; os.execv(sys.argv[1], sys.argv[2:])";

/** A script of alice's that tells in `marker` that it has run. */
function plant(folder: string, path: string): string {
  const marker = join(folder, "marker");
  writeFileSync(path, `require("node:fs").writeFileSync(${JSON.stringify(marker)}, String(process.geteuid()));\n`);
  return marker;
}

test("SUID: the name under which it is started is no option of Node's", { ...labNeeds(), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const accounts = new Accounts(lab);
  const folder = accounts.folder("trap", ALICE.uid);
  const script = join(folder, "loaded.cjs");
  const marker = plant(folder, script);
  for (const words of [
    [`--require=${script}`],
    ["-r", script],
    ["--no-deprecation", `--import=${script}`],
    ["--prof", "--version"],
    ["--trace-events-enabled", "--version"],
    ["--openssl-config=/etc/shadow", "--version"],
  ]) {
    const program = accounts.start(["env", "-C", folder, PYTHON, "-c", UNDER_A_NAME, accounts.suid, ...words]);
    await program.ended();
    assert.ok(!existsSync(marker), `${words.join(" ")}: code of the caller's has run\n${program.text()}`);
    assert.doesNotMatch(program.text(), /OpenSSL|:\d+:0:99999/, words.join(" "));
    const roots = readdirSync(folder).filter((name) => statSync(join(folder, name)).uid === 0 && name !== "loaded.cjs");
    assert.deepEqual(roots, [], `${words.join(" ")}: files of root's`);
  }
});

test("sudo: a path that reads like an option of Node's is none", { ...labNeeds("sudo"), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const accounts = new Accounts(lab, { sudoers: `${ALICE.name} ALL=(root) NOPASSWD: {executable}` });
  const plain = accounts.suid;
  chmodSync(plain, 0o755); // the SUID bit must not be what helps it
  t.after(() => chmodSync(plain, 0o4755));
  const folder = accounts.folder("trap", ALICE.uid);
  mkdirSync(join(folder, "code"));
  const marker = plant(folder, join(folder, "code", "softnet"));
  const option = `--require=${folder}/code/softnet`;
  mkdirSync(join(folder, option, ".."), { recursive: true });
  symlinkSync(plain, join(folder, option));
  execFileSync("chown", ["-hR", `${ALICE.uid}:${ALICE.uid}`, folder]);
  const program = accounts.start(["env", "-C", folder, "sudo", "-n", "--", option]);
  await program.ended();
  assert.ok(!existsSync(marker), `code of the caller's has run\n${program.text()}`);
});
