/** The drop of root's rights, in a process of its own. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { findCaller, NO_CALLER, type Who } from "./caller.ts";
import { type Finding, failed, leftOut, ok, type Point } from "./points.ts";

const CHILD = fileURLToPath(new URL("drop-child.ts", import.meta.url));

/** `path` is the C library's. */
export function dropPoints(path: string, caller: Who | undefined = findCaller()): Point[] {
  return [{ name: "privileges: root's are gone after the drop, in all ids and groups", run: () => drop(path, caller) }];
}

function drop(path: string, caller: Who | undefined): Finding {
  if (caller === undefined) return leftOut(NO_CALLER);
  const { uid, gid } = caller;
  const { status, stdout, stderr } = spawnSync(process.execPath, [CHILD, path, String(uid), String(gid)], {
    encoding: "utf8",
    cwd: "/",
  });
  if (status !== 0) return failed(`the child ended with ${status}: ${stderr.trim()}`);
  const found = stdout.trim();
  const wanted = JSON.stringify({ uid, euid: uid, gid, egid: gid, groups: [gid], possible: [] });
  return found === wanted ? ok(found) : failed(`${found}\ninstead of ${wanted}`);
}
