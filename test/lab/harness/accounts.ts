/**
 * A lab with users of its own, rules for sudo and an /etc/softnet.conf that exist only for the programs started through
 * it (tools/private-etc.sh): nothing on the machine changes, whatever happens to the test.
 */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { executable } from "../../support/executable.ts";
import { Cable, type CableOptions } from "./cable.ts";
import type { Program, StartOptions } from "./program.ts";
import { type Lab, tool } from "./topology.ts";

export const ALICE = { name: "softnet-alice", uid: 64_001 } as const;
export const BOB = { name: "softnet-bob", uid: 64_002 } as const;
/** A group that alice is in. */
export const TEAM = { name: "softnet-team", gid: 64_003 } as const;

const MAIN = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));

export interface AccountsOptions {
  /** Lines for sudo; `{softnet}` is the command that runs softnet from source, `{executable}` the executable. */
  readonly sudoers?: string;
  readonly conf?: string;
  /** Owner and mode of softnet.conf. */
  readonly confOwner?: number;
  readonly confMode?: number;
  /** Lines of an /etc/resolv.conf. */
  readonly resolvConf?: string;
  /** Another /run/softnet than the machine's: how many VMs its users run is not disturbed by other tests. */
  readonly ownRun?: boolean;
}

export class Accounts {
  /** Runs a command where the accounts exist. */
  readonly within: readonly string[];
  /** softnet from source. */
  readonly source: readonly string[] = [process.execPath, MAIN];
  readonly #lab: Lab;

  constructor(lab: Lab, options: AccountsOptions = {}) {
    const { sudoers = "", conf, confOwner = 0, confMode = 0o644, resolvConf, ownRun = false } = options;
    this.#lab = lab;
    const folder = join(lab.directory, "accounts");
    mkdirSync(folder);
    const put = (name: string, lines: readonly string[]): void =>
      writeFileSync(join(folder, name), lines.map((line) => `${line}\n`).join(""));
    const users = [ALICE, BOB];
    put(
      "passwd",
      users.map(({ name, uid }) => `${name}:x:${uid}:${uid}::/nonexistent:/bin/sh`),
    );
    put("group", [...users.map(({ name, uid }) => `${name}:x:${uid}:`), `${TEAM.name}:x:${TEAM.gid}:${ALICE.name}`]);
    put(
      "shadow",
      users.map(({ name }) => `${name}:*:19000:0:99999:7:::`),
    );
    put("sudoers", [expandSudoers(sudoers)]);
    if (conf !== undefined) {
      const file = join(folder, "softnet.conf");
      writeFileSync(file, conf);
      chmodSync(file, confMode);
      chownSync(file, confOwner, confOwner);
    }
    if (resolvConf !== undefined) put("resolv.conf", [resolvConf]);
    if (ownRun) mkdirSync(join(folder, "run"), { mode: 0o755 });
    this.within = ["/bin/sh", tool("private-etc.sh"), folder];
  }

  /** The packaged softnet with the SUID bit, in a folder of root's. */
  get suid(): string {
    return suidExecutable();
  }

  /** A folder that belongs to a user. */
  folder(name: string, uid: number): string {
    const path = join(this.#lab.directory, name);
    mkdirSync(path, { mode: 0o700 });
    chownSync(path, uid, uid);
    return path;
  }

  /** Starts softnet with the VM's socket as alice, unless the options name somebody else. */
  cable(args: readonly string[], options: CableOptions): Cable {
    const all = { vm: true, uid: ALICE.uid, program: this.source, ...options };
    return Cable.start(this.#lab, this.#lab.host, args, {
      ...all,
      within: [...this.within, ...(options.within ?? [])],
    });
  }

  /** Starts a command as alice, with her groups. */
  start(command: readonly string[], options: StartOptions = {}): Program {
    const become = ["setpriv", "--reuid", ALICE.name, "--regid", ALICE.name, "--init-groups"];
    const [first, ...rest] = [...this.within, ...become, ...command];
    return this.#lab.start(this.#lab.host, first!, rest, { label: "softnet", ...options });
  }
}

function expandSudoers(lines: string): string {
  const all = lines.replaceAll("{softnet}", `${process.execPath} ${MAIN} *`);
  return all.includes("{executable}") ? all.replaceAll("{executable}", suidExecutable()) : all;
}

let suidFolder: string | undefined;

/** Made once for all of a test file's labs, and gone with its process: 150 MB. */
function suidExecutable(): string {
  if (suidFolder === undefined) {
    const folder = mkdtempSync(join(tmpdir(), "softnet-suid-"));
    process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
    chmodSync(folder, 0o755);
    copyFileSync(executable(), join(folder, "softnet"));
    chmodSync(join(folder, "softnet"), 0o4755);
    suidFolder = folder;
  }
  return join(suidFolder, "softnet");
}

/** What the kernel tells of one thread. */
export interface Thread {
  /** Real, effective, saved, of the file system. */
  readonly uid: readonly number[];
  readonly gid: readonly number[];
  readonly groups: readonly number[];
  /** Effective, permitted, ambient. */
  readonly capabilities: readonly string[];
  readonly noNewPrivileges: boolean;
}

/** Every thread of a process. */
export function threadsOf(pid: number): Thread[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const text = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
    const words = (name: string): string[] =>
      (new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(text)?.[1] ?? "").split(/\s+/).filter((word) => word !== "");
    return {
      uid: words("Uid").map(Number),
      gid: words("Gid").map(Number),
      groups: words("Groups").map(Number),
      capabilities: ["CapEff", "CapPrm", "CapAmb"].flatMap(words),
      noNewPrivileges: words("NoNewPrivs")[0] === "1",
    };
  });
}

/** The processes that a process started, and those that they did. */
export function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  return children.flatMap((child) => [child, ...descendants(child)]);
}

/** Whether a process is the host's helper. */
export function isHelper(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "softnet-helper";
  } catch {
    return false; // it has ended
  }
}

/** The last of a chain of processes, each the only child of the one before: sudo's own, then the program. */
export function lastChild(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  return child === undefined ? pid : lastChild(child);
}
