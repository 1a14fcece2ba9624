/**
 * What ended helpers left in their folder: a socket's name and a lock each. A helper that starts replaces those of its own
 * network namespace; those of namespaces that are gone are removed here, whenever a helper is started.
 */
import { closeSync, readdirSync, rmSync } from "node:fs";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { connect } from "./helper-socket.ts";
import { tryLock } from "./lock.ts";

/** How a lock's file is named, behind the socket's name. */
export const LOCK = ".lock";

/** Removes the names of helpers that listen no more. A lock that a process holds stays, with its socket. */
export function removeLeftovers(libc: LinuxLibc, folder: string): void {
  for (const file of readdirSync(folder)) {
    if (!file.endsWith(LOCK)) continue;
    const lock = `${folder}/${file}`;
    const fd = tryLock(libc, lock);
    if (fd === undefined) continue;
    const socket = lock.slice(0, -LOCK.length);
    const listening = connect(libc, socket);
    if (listening === undefined) {
      rmSync(socket, { force: true });
      rmSync(lock, { force: true }); // last, and while it is held
    } else {
      libc.close(listening);
    }
    closeSync(fd);
  }
}
