/**
 * A control group with too little memory for a process that is put into it: the kernel ends that at one of the next pages
 * which it needs (the OOM killer). It is one of version 2 where that has the memory controller, else one of version 1.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../support/patience.ts";
import type { Skip } from "../../support/tools.ts";
import type { Cleanup } from "./topology.ts";

interface Version {
  readonly root: string;
  readonly limit: string;
  /** Has a line `oom_kill N`. */
  readonly events: string;
}

const VERSIONS: readonly Version[] = [
  { root: "/sys/fs/cgroup", limit: "memory.max", events: "memory.events" },
  { root: "/sys/fs/cgroup/unified", limit: "memory.max", events: "memory.events" },
  { root: "/sys/fs/cgroup/memory", limit: "memory.limit_in_bytes", events: "memory.oom_control" },
];
const SUBTREE = "cgroup.subtree_control";

function version(): Version | undefined {
  return VERSIONS.find(({ root, limit }) => {
    if (limit === "memory.limit_in_bytes") return existsSync(join(root, limit));
    const controllers = join(root, "cgroup.controllers");
    return existsSync(controllers) && readFileSync(controllers, "latin1").split(/\s/).includes("memory");
  });
}

/** Options for a test that exhausts memory. */
export function needsMemoryGroups(): Skip {
  return version() === undefined ? { skip: "no control groups for memory are mounted in /sys/fs/cgroup" } : {};
}

let made = 0;

export class MemoryGroup {
  readonly #version: Version;
  readonly #folder: string;

  /** It goes with the test, whose lab was opened before. `limit`: bytes for what processes need after they were put in. */
  constructor(t: Cleanup, limit: number) {
    const found = version();
    if (found === undefined) throw new Error(needsMemoryGroups().skip);
    this.#version = found;
    this.#folder = join(found.root, `softnet-lab-${process.pid}-${++made}`);
    if (found.limit === "memory.max") writeFileSync(join(found.root, SUBTREE), "+memory");
    mkdirSync(this.#folder);
    t.after(() => this.#remove());
    writeFileSync(join(this.#folder, found.limit), String(limit));
  }

  /** What the process has already is not counted: that stays with the group which it was in. */
  put(pid: number): void {
    writeFileSync(join(this.#folder, "cgroup.procs"), String(pid));
  }

  /** Processes that the kernel ended for want of memory. */
  get killed(): number {
    const text = readFileSync(join(this.#folder, this.#version.events), "latin1");
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  async #remove(): Promise<void> {
    await until("the memory group is empty", () => {
      try {
        rmdirSync(this.#folder);
        return true;
      } catch {
        return false; // the kernel still ends what was in it
      }
    });
  }
}
