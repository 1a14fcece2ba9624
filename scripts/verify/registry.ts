/** What the registry of bindings counts on: locks that belong to an open file description, and an id of the boot. */
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RegistrySystem } from "../../src/registry/system.ts";
import { type Finding, failed, ok, type Point } from "./points.ts";

export type RegistryFacts = Pick<RegistrySystem, "bootId" | "lock" | "isLocked">;

export function registryPoints(facts: RegistryFacts): Point[] {
  return [
    {
      name: "registry: a lock belongs to an open file description (F_OFD_SETLK, F_OFD_GETLK)",
      run: () => locks(facts),
    },
    { name: "registry: the boot has an id (kern.bootsessionuuid)", run: () => boot(facts) },
  ];
}

/** One file, opened several times by one process: to locks of the process, all of them would be the same. */
function locks({ lock, isLocked }: RegistryFacts): Finding {
  const folder = mkdtempSync(join(tmpdir(), "softnet-verify-"));
  const opened = new Set<number>();
  const openIt = (): number => {
    const fd = openSync(join(folder, "record"), "a+", 0o600);
    opened.add(fd);
    return fd;
  };
  const close = (fd: number): void => {
    opened.delete(fd);
    closeSync(fd);
  };
  try {
    const [one, other, third] = [openIt(), openIt(), openIt()] as const;
    const afterClosing = (fd: number): boolean => {
      close(fd);
      return isLocked(other);
    };
    const seen: readonly (readonly [string, boolean])[] = [
      ["a free file is not locked", !isLocked(other)],
      ["it can be locked", lock(one)],
      ["who has the lock is not told of it", !isLocked(one)],
      ["who has opened the file once more is", isLocked(other)],
      ["and cannot lock it", !lock(other)],
      ["closing the file elsewhere does not unlock it", afterClosing(third)],
      ["closing it where it was locked does", !afterClosing(one)],
      ["then another can lock it", lock(other)],
    ];
    const wrong = seen.filter(([, isSo]) => !isSo).map(([what]) => `not so: ${what}`);
    return wrong.length === 0 ? ok(seen.map(([what]) => what).join("; ")) : failed(wrong.join("\n"));
  } finally {
    for (const fd of opened) closeSync(fd);
    rmSync(folder, { recursive: true, force: true });
  }
}

function boot({ bootId }: RegistryFacts): Finding {
  const [id, again] = [bootId(), bootId()];
  return /^[0-9a-f-]{36}$/i.test(id) && id === again ? ok(id) : failed(`${JSON.stringify(id)}, then ${again}`);
}
