/** Where the demo has a control socket: in a folder whose name carries the demo's process id (namespace.ts). */
import { chownSync, mkdirSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { loadLibc } from "../native/linux/libc.ts";
import { identifyCaller, processIds } from "../privileges/caller.ts";
import { findNobody } from "../privileges/target.ts";
import type { Cleanup } from "./cleanup.ts";

/** Only root can make something here. */
const RUN = "/run";
const FOLDER = /^softnet-demo-(\d+)$/;
const SOCKET = "ctl";

/** A path for a softnet's control socket, in a folder of the user that this softnet becomes. */
export function controlPath(cleanup: Cleanup): string {
  cleanup.check();
  const folder = join(RUN, `softnet-demo-${process.pid}`);
  cleanup.add(() => removeFolder(folder));
  mkdirSync(folder, { mode: 0o700 });
  const { uid, gid } = identifyCaller(processIds(), process.env, findNobody(loadLibc()));
  chownSync(folder, uid, gid);
  return join(folder, SOCKET);
}

/** Removes what demos left there whose process is no more. */
export function sweepControlPaths(isAlive: (pid: number) => boolean): void {
  for (const name of readdirSync(RUN)) {
    const owner = FOLDER.exec(name)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    try {
      removeFolder(join(RUN, name));
    } catch {
      // Another demo was quicker.
    }
  }
}

/** Not recursively: what is in it is in another user's hands. */
function removeFolder(folder: string): void {
  rmSync(join(folder, SOCKET), { force: true });
  rmdirSync(folder);
}
