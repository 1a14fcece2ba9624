/** Ids and capabilities of each thread of this process (proc(5)). Needs no privilege. */
import { readdirSync, readFileSync } from "node:fs";

export interface ThreadRights {
  readonly thread: string;
  /** Real, effective, saved, of the file system. */
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  readonly groups: readonly number[];
  /** One bit for each capability: effective, permitted and ambient ones together. */
  readonly capabilities: bigint;
  /** The effective ones alone. */
  readonly effective: bigint;
}

export const CAP_NET_ADMIN = 1n << 12n; // linux/capability.h

/** Throws when there is no /proc. */
export function threadRights(): ThreadRights[] {
  return readdirSync("/proc/self/task").flatMap((thread) => {
    try {
      return [{ thread, ...parseStatus(readFileSync(`/proc/self/task/${thread}/status`, "latin1")) }];
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ESRCH") return []; // it ended meanwhile
      throw error;
    }
  });
}

/** Throws when a line is missing. */
export function parseStatus(text: string): Omit<ThreadRights, "thread"> {
  const field = (name: string): string[] => {
    const line = new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(text)?.[1];
    if (line === undefined) throw new Error(`/proc has no line ${name}`);
    return line.split(/\s+/).filter((word) => word !== "");
  };
  const numbers = (name: string): number[] => field(name).map(Number);
  const bits = (name: string): bigint => BigInt(`0x${field(name)[0]}`);
  return {
    uids: numbers("Uid"),
    gids: numbers("Gid"),
    groups: numbers("Groups"),
    effective: bits("CapEff"),
    capabilities: bits("CapEff") | bits("CapPrm") | bits("CapAmb"),
  };
}
