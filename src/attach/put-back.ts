/**
 * Puts an interface back where it was before softnet was attached to it. Its programs go last, so that until everything
 * else is as it was, nothing passes. It needs CAP_NET_ADMIN, no more.
 */
import { unhook } from "../lane/hooks.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { changeLinks } from "../native/linux/link-changes.ts";
import { Links } from "../native/linux/links.ts";
import { UserError } from "../user-error.ts";
import type { AttachRecord } from "./record.ts";
import { readTag, restoreSettings, writeTag } from "./settings.ts";

/** The interface's name of now, where it is still the one of the record; undefined where it is gone. */
export function nameOf(libc: LinuxLibc, { index, tag }: AttachRecord): string | undefined {
  const links = new Links(libc);
  try {
    const link = links.byIndex(index);
    return link !== undefined && readTag(link.name) === tag ? link.name : undefined;
  } finally {
    links.close();
  }
}

/** Throws UserError; then the interface is closed as before. */
export function putBack(libc: LinuxLibc, record: AttachRecord): void {
  const { index, bridge, port, settings, hooked } = record;
  const name = nameOf(libc, record);
  if (name === undefined) return;
  const master = bridge === undefined ? undefined : findBridge(libc, name, bridge);
  try {
    restoreSettings(name, settings);
    if (master !== undefined) {
      changeLinks(libc, (links) => {
        links.setMaster(index, master);
        if (port !== undefined) links.setPort(index, port);
      });
    }
    for (const each of hooked) unhook(libc, index, each);
    writeTag(name, 0);
  } catch (error) {
    throw new UserError(`${name} cannot be put back: ${(error as Error).message}; it stays closed`);
  }
}

function findBridge(libc: LinuxLibc, name: string, bridge: string): number {
  const links = new Links(libc);
  try {
    const found = links.byName(bridge);
    if (found?.kind === "bridge") return found.index;
    throw new UserError(`bridge ${bridge}, where ${name} was, is gone: make it again, or delete ${name}`);
  } finally {
    links.close();
  }
}
