/** Which interfaces of this network namespace a softnet holds, for commands that only look. No privilege. */
import type { LinuxLibc } from "../native/linux/libc.ts";
import { Links } from "../native/linux/links.ts";
import { nameOf } from "./put-back.ts";
import { AttachRecords } from "./record.ts";

/** A softnet is attached to them now, or one that has ended has left them closed. `directory`: the registry's. */
export function guardedInterfaces(libc: LinuxLibc, directory: string): ReadonlySet<string> {
  return new Set(new AttachRecords(libc, directory).list().flatMap((record) => nameOf(libc, record) ?? []));
}

/** The bridge that an interface is on; undefined where there is none. */
export function bridgeOf(libc: LinuxLibc, name: string): string | undefined {
  if (!/^[^\s/:%]{1,15}$/.test(name)) return undefined;
  const links = new Links(libc);
  try {
    const master = links.byName(name)?.master ?? 0;
    return master === 0 ? undefined : links.byIndex(master)?.name;
  } finally {
    links.close();
  }
}
