/** The packaged executable in a lab, with an ordinary user who has set traps for it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { LIMIT } from "../../support/patience.ts";
import type { Tool } from "../../support/tools.ts";
import { Accounts, type AccountsOptions, ALICE, type Thread } from "./accounts.ts";
import type { Program } from "./program.ts";
import { Lab, labNeeds, tool } from "./topology.ts";

export const MAC = "7e:1a:00:00:00:01";
/** Root's rights are used, for the TAP, and given up; then it ends in one line, since nobody listens there. */
export const SHORT = ["--vm-tap", "svm0", "--vm-mac-address", MAC, "--host-socket", "/nowhere/cable"];
export const SHORT_ENDS = /^softnet: .*\/nowhere\/cable: there is no such socket/;
export const NAT = ["--vm-fd", "{vm}", "--vm-mac-address", MAC, "--dns", "9.9.9.9"];
export const NOBODY = 65_534;
export const CAP_NET_ADMIN = "0000000000001000";
/** A capture of one frame, a broadcast of the VM's (pcap, little-endian, Ethernet). */
export const ONE_FRAME = Buffer.from(
  `d4c3b2a1020004000000000000000000ffff000001000000${"00".repeat(8)}${"3c000000".repeat(2)}ffffffffffff7e1a000000010806${"00".repeat(46)}`,
  "hex",
);
export const needs = (...tools: readonly Tool[]) => ({ ...labNeeds(...tools), ...LIMIT });

/** A lab, and a folder of alice's with traps in it. */
export class Scene {
  readonly lab: Lab;
  readonly accounts: Accounts;
  /** Alice's folder: whatever is written there, or loaded from there, was gained. */
  readonly trap: string;
  /** Appears when code from there has run. */
  readonly marker: string;
  /** A library, and a script. */
  readonly library: string;
  readonly script: string;
  /** A folder that only root can write. */
  readonly closed: string;
  readonly #traps: string[];

  constructor(t: TestContext, options: AccountsOptions = {}) {
    this.lab = Lab.open(t);
    this.accounts = new Accounts(this.lab, options);
    this.trap = this.accounts.folder("trap", ALICE.uid);
    this.closed = this.accounts.folder("closed", 0);
    chmodSync(this.closed, 0o755);
    this.marker = join(this.trap, "marker");
    this.library = join(this.trap, "loaded.so");
    this.script = join(this.trap, "loaded.cjs");
    execFileSync("gcc", ["-shared", "-fPIC", `-DMARKER="${this.marker}"`, "-o", this.library, tool("loaded.c")]);
    writeFileSync(this.script, `require("node:fs").writeFileSync(${JSON.stringify(this.marker)}, "script");\n`);
    writeFileSync(
      join(this.trap, "openssl.cnf"),
      `nodejs_conf = init\nopenssl_conf = init\n[init]\nproviders = all\n[all]\nevil = evil\n[evil]\nmodule = ${this.library}\nactivate = 1\n`,
    );
    for (const path of ["koffi.node", "node_modules/koffi/index.js", "build/koffi/linux_x64/koffi.node", "libc.so.6"]) {
      mkdirSync(dirname(join(this.trap, path)), { recursive: true });
      copyFileSync(path.endsWith(".js") ? this.script : this.library, join(this.trap, path));
    }
    writeFileSync(join(this.trap, ".env"), "NODE_OPTIONS=--require=./loaded.cjs\n");
    writeFileSync(join(this.trap, "node.config.json"), `{"nodeOptions": {"require": ["./loaded.cjs"]}}`);
    writeFileSync(join(this.trap, "package.json"), `{"type": "commonjs", "main": "loaded.cjs"}`);
    for (const name of ["sudo", "nft", "ip", "setpriv", "sh"]) {
      writeFileSync(join(this.trap, name), `#!/bin/sh\necho ${name} >>${this.marker}\n`, { mode: 0o755 });
    }
    execFileSync("chown", ["-R", `${ALICE.uid}:${ALICE.uid}`, this.trap]);
    this.#traps = this.#entries();
  }

  #entries(): string[] {
    return (readdirSync(this.trap, { recursive: true }) as string[]).toSorted();
  }

  /** Asserts that nothing was gained so far. */
  assertNothingGained(what: string): void {
    const found = existsSync(this.marker) ? readFileSync(this.marker, "utf8") : undefined;
    assert.equal(found, undefined, what);
    assert.deepEqual(this.#entries(), this.#traps, what);
    assert.deepEqual(readdirSync(this.closed), [], what);
    assert.ok(!this.lab.host.hasLink("svm0"), what);
  }

  /** Runs the executable with the SUID bit as alice, after `before` (a program that runs the rest of its arguments). */
  suid(args: readonly string[], before: readonly string[] = []): Program {
    return this.accounts.start([...before, this.accounts.suid, ...args]);
  }

  /** A running one with its network; answers its process id. */
  async running(args: readonly string[] = NAT, env: NodeJS.ProcessEnv = {}) {
    const cable = this.accounts.cable(args, { program: [this.accounts.suid], env });
    await cable.softnet.ready();
    return { cable, pid: await cable.pid("softnet") };
  }
}

export function assertThreads(threads: readonly Thread[], uid: number): void {
  assert.ok(threads.length > 1);
  for (const thread of threads) {
    assert.deepEqual([thread.uid, thread.gid, thread.groups], [Array(4).fill(uid), Array(4).fill(uid), [uid]]);
    assert.deepEqual(thread.capabilities, Array(3).fill("0".repeat(16)));
  }
}

export function exe(pid: number): string {
  return readlinkSync(`/proc/${pid}/exe`);
}
