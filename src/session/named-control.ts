/**
 * The control socket that `--name` makes where no `--control-socket` is given. Its folder is made before root's rights are
 * dropped; the socket itself afterwards, as any control socket, by the user that softnet has become.
 *
 * Started by root, the folder is in the registry's, where only root can make one. It stays, empty, when softnet ends,
 * because softnet is not root then; the next one that root starts with any name removes it. So that this is not done to one that
 * is starting, there is a folder `starting` in its folder until its socket is there. Started by another user, also through sudo or
 * the SUID bit, it is in that user's runtime folder, and is made with that user's rights.
 *
 * With `--control-group` root lets one more group through the folder. Everybody else is kept out by the folder, so the socket
 * in it may be open to all. The softnet could not give the socket a group that it is not in, and a folder with the set-group-ID
 * bit, which would, may not be made in softnet@.service (RestrictSUIDSGID=).
 */
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, rmdirSync, type Stats, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { OTHERS_MAY_WRITE } from "../file-modes.ts";
import type { PrivilegeWalk } from "../privileges/privileges.ts";
import { codeOf } from "../registry/files.ts";
import { namedControl, systemVms, userVms } from "../registry/vm-names.ts";
import { UserError } from "../user-error.ts";
import type { SessionArguments } from "./options.ts";
import { prepareRegistry } from "./registry-entry.ts";
import type { SessionSystem } from "./system.ts";

/** Modes of the VM's folder: its owner's alone; or a group may also pass through it, and see nothing of what is there. */
const OWNER_ONLY = 0o700;
const THROUGH_GROUP = 0o710;
/** Mode of the socket in such a folder. */
const FOR_ALL = 0o666;

/**
 * A folder, not a file: its owner, who may be hostile, may have put a link in its place, and mkdir(2) follows none. It counts as
 * long as its softnet has no socket yet; one that a crash left does no harm.
 */
const STARTING = "starting";
/** How often a folder may be removed, by another softnet that starts, before the mark is in it. */
const MOST_TRIES = 100;

export interface NamedControl {
  /** The socket's path, for `--control-socket`. */
  readonly path: string;
  /** To be called once the socket is there: opens it to the group that may use it. Throws UserError. */
  listening(): void;
  /** Removes the folder, as far as the rights that are left allow it. */
  close(): void;
}

/** `XDG_RUNTIME_DIR` and the like. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Makes the folder for the socket. Undefined where no name is given, or a path for the socket is. Throws UserError, also
 * when a softnet of this name runs.
 */
export function openNamedControl(
  { name, controlSocket, controlGroup }: Pick<SessionArguments, "name" | "controlSocket" | "controlGroup">,
  system: Pick<SessionSystem, "registry" | "isListening" | "userRuntime" | "findGroup">,
  privileges: Pick<PrivilegeWalk, "caller" | "target" | "asTarget">,
  environment: Environment = process.env,
): NamedControl | undefined {
  const { caller, target } = privileges;
  const isByItself = name !== undefined && controlSocket === undefined;
  if (controlGroup !== undefined) refuseGroup(controlGroup, isByItself, caller.kind === "root");
  if (!isByItself) return undefined;
  if (caller.kind === "root") {
    const { registry } = system;
    if (registry === undefined) throw unplaced(name, "there is no folder for it on this system");
    prepareRegistry(registry);
    const vms = systemVms(registry.directory);
    makeFolder(name, vms, 0o755, registry.owner);
    removeEmpty(vms);
    const gid = controlGroup === undefined ? undefined : groupOf(controlGroup, system);
    return make(name, vms, system, { ...target, mayUse: gid });
  }
  return privileges.asTarget(() => {
    const runtime = system.userRuntime?.(environment, target.uid);
    if (runtime === undefined) throw unplaced(name, "this system has no runtime folder for each user");
    const vms = userVms(runtime);
    makeFolder(name, vms, 0o700, target.uid);
    return make(name, vms, system);
  });
}

function refuseGroup(group: string, isByItself: boolean, isRoot: boolean): void {
  const refusal = (words: string): UserError => new UserError(`--control-group ${group}: ${words}`);
  if (!isByItself) throw refusal("it is for the control socket that --name makes: give --name and no --control-socket");
  if (!isRoot) throw refusal("only root itself may give a group; leave it out");
}

function groupOf(group: string, { findGroup }: Pick<SessionSystem, "findGroup">): number {
  const gid = findGroup?.(group);
  if (gid !== undefined) return gid;
  throw new UserError(`--control-group ${group}: there is no such group; give a name or a number`);
}

/** The VM's own folder. With `owner`, which only root can give, it is that user's afterwards. */
function make(
  name: string,
  vms: string,
  { isListening }: Pick<SessionSystem, "isListening">,
  owner?: { readonly uid: number; readonly gid: number; readonly mayUse: number | undefined },
): NamedControl {
  const path = namedControl(vms, name);
  const folder = dirname(path);
  if (isListening(path)) {
    throw new UserError(
      `--name ${name}: a running softnet has this name (its control socket is ${path}); give another, or end that one`,
    );
  }
  try {
    makeMarked(folder);
    removeLeftover(path);
    // By path, which is safe in a folder that nobody else writes to.
    if (owner !== undefined) chownSync(folder, owner.uid, owner.mayUse ?? owner.gid);
    chmodSync(folder, owner?.mayUse === undefined ? OWNER_ONLY : THROUGH_GROUP);
  } catch (error) {
    throw unplaced(name, (error as Error).message);
  }
  const listening = (): void => {
    if (owner?.mayUse !== undefined) openToThoseInside(name, path);
    removeFolder(join(folder, STARTING));
  };
  const close = (): void => {
    removeFolder(join(folder, STARTING));
    removeFolder(folder);
  };
  return { path, listening, close };
}

/** The folder with the mark in it, new or an earlier softnet's. Throws the system's error, or one that says what is in its place. */
function makeMarked(folder: string): void {
  for (let tries = 1; ; tries++) {
    makeIfMissing(folder);
    if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === false) {
      throw new Error(`${folder} is not a folder; remove it`);
    }
    try {
      makeIfMissing(join(folder, STARTING));
      return;
    } catch (error) {
      if (codeOf(error) !== "ENOENT" || tries === MOST_TRIES) throw error;
    }
  }
}

function makeIfMissing(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/** What softnets have left that had no right to remove their folder any more. */
function removeEmpty(vms: string): void {
  for (const name of readdirSync(vms)) removeFolder(join(vms, name));
}

/** The folder of all names; it must be its owner's alone to write to. */
function makeFolder(name: string, vms: string, mode: number, owner: number): void {
  let stats: Stats;
  try {
    try {
      mkdirSync(vms, { mode });
      if (owner === 0) chownSync(vms, 0, 0); // through SUID its group would be the caller's
      chmodSync(vms, mode); // the umask may have removed bits
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
    stats = lstatSync(vms);
  } catch (error) {
    throw unplaced(name, (error as Error).message);
  }
  if (stats.isDirectory() && stats.uid === owner && (stats.mode & OTHERS_MAY_WRITE) === 0) return;
  throw unplaced(name, `${vms} is no folder, or other users may write to it; remove it`);
}

/** The path is in a folder that nobody else writes to. */
function openToThoseInside(name: string, path: string): void {
  try {
    chmodSync(path, FOR_ALL);
  } catch (error) {
    throw unplaced(name, (error as Error).message);
  }
}

/** A socket whose softnet was killed. */
function removeLeftover(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

function removeFolder(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It is in use, it was root that made it, or it is gone.
  }
}

function unplaced(name: string, why: string): UserError {
  return new UserError(
    `--name ${name}: its control socket cannot be made by itself (${why}); give --control-socket PATH`,
  );
}
