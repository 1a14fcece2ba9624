/**
 * Every VM of this host that this user may see, each once, whichever way its softnet was started: from the registry's records
 * of live softnets, which every user may read, and from the control sockets that `--name` makes. A softnet with neither (no
 * root, no name) cannot be found.
 *
 * Whether a softnet still listens at a socket is known only to who asks it (ask.ts).
 */
import { lstatSync, readdirSync, type Stats } from "node:fs";
import { OTHERS_MAY_WRITE } from "../file-modes.ts";
import { readLive } from "../registry/holders.ts";
import type { RegistrySystem } from "../registry/system.ts";
import {
  isVmName,
  namedControl,
  nameOfControl,
  RUNTIMES,
  systemVms,
  userRuntime,
  userVms,
} from "../registry/vm-names.ts";
import { formatMac } from "../wire/address.ts";
import { formatAddress } from "../wire/ipv6-address.ts";

export interface FoundVm {
  /** What `--name` says. */
  readonly name?: string;
  /** Known from the registry alone; softnet itself says it too. */
  readonly mac?: string;
  /** The path of its control socket. */
  readonly control?: string;
  readonly pid?: number;
  readonly network?: string;
  /** Those that the registry knows. */
  readonly addresses: readonly string[];
  /** The name was given by root: its socket is where only root can make one. */
  readonly namedByRoot: boolean;
}

/** A user's runtime folder, and who must own it. */
export interface Runtime {
  readonly folder: string;
  readonly uid: number;
}

/** Sorted by name, then by MAC address; VMs without a name last. Throws UntrustedRegistry, or the system's error. */
export function findVms(registry: RegistrySystem, runtimes: readonly Runtime[]): FoundVm[] {
  const system = systemVms(registry.directory);
  const found = new Map<string, FoundVm>();
  for (const path of socketsIn(system)) found.set(path, named(path, system, true));
  for (const { folder, uid } of runtimes) {
    const vms = userVms(folder);
    if (!isOwn(folder, uid) || !isOwn(vms, uid)) continue;
    for (const path of socketsIn(vms, uid)) if (!found.has(path)) found.set(path, named(path, vms, false));
  }
  for (const { mac, addresses, network, pid, control, name } of readLive(registry)) {
    const place = nameOfControl(control ?? "", system);
    const key = control ?? `${network} ${mac}`;
    const called = place ?? name;
    found.set(key, {
      mac: formatMac(mac),
      addresses: addresses.map(formatAddress),
      network,
      pid,
      namedByRoot: place !== undefined,
      ...(called !== undefined && { name: called }),
      ...(control !== undefined && { control }),
    });
  }
  return [...found.values()].sort(inOrder);
}

/** The folders to look in: root sees those of all users, others their own. */
export function findRuntimes(environment: Readonly<Record<string, string | undefined>>, uid: number): Runtime[] {
  const own = { folder: userRuntime(environment, uid), uid };
  if (uid !== 0) return [own];
  const others = namesIn(RUNTIMES)
    .filter((name) => /^\d{1,10}$/.test(name))
    .map((name) => ({ folder: `${RUNTIMES}/${name}`, uid: Number(name) }));
  return others.some(({ folder }) => folder === own.folder) ? others : [own, ...others];
}

function named(path: string, vms: string, namedByRoot: boolean): FoundVm {
  return { name: nameOfControl(path, vms)!, control: path, addresses: [], namedByRoot };
}

/** Sockets of named VMs that this process can see. `uid`: who must own their folders; else only root can make one. */
function socketsIn(vms: string, uid?: number): string[] {
  return namesIn(vms)
    .filter((name) => isVmName(name) && (uid === undefined || isOwn(`${vms}/${name}`, uid)))
    .map((name) => namedControl(vms, name))
    .filter((path) => look(path)?.isSocket());
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return []; // there is none, or it is closed to this user
  }
}

/** Whether a path is a folder of that user's that no other user can write to, and no link: root may be led by it. */
function isOwn(folder: string, uid: number): boolean {
  const stats = look(folder);
  if (!stats?.isDirectory()) return false;
  return stats.uid === uid && (stats.mode & OTHERS_MAY_WRITE) === 0;
}

function look(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

function inOrder(a: FoundVm, b: FoundVm): number {
  const [one, other] = [a, b].map(({ name = "\uffff", mac = "", control = "" }) => [name, mac, control].join("\0"));
  return one! < other! ? -1 : one! > other! ? 1 : 0;
}
