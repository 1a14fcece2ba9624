/**
 * The softnets that `softnet ctl` asks: by path, by a folder's path (all sockets in it whose names end with `.ctl`), by a VM's
 * name or MAC address, by a pattern of names, or all of the host. One command can ask many.
 *
 * Other sockets of a folder are not used, because connecting to them may do harm: for example, softnet's `--vm-socket`
 * takes the first program that connects for its VM.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { printable } from "../operate/fields.ts";
import type { FoundVm } from "../operate/vms.ts";
import { UserError } from "../user-error.ts";
import { formatMac, parseMac } from "../wire/address.ts";

const SUFFIX = ".ctl";

export interface Target {
  /** Of its control socket; undefined where it has none. */
  readonly path?: string;
  /** What its answers and errors are headed with: the VM's name, its MAC address, or the path as it was given. */
  readonly label: string;
  /** It was found, not given by its path or its whole name: if it has ended meanwhile it is none. */
  readonly mayBeGone: boolean;
}

export interface Targets {
  readonly targets: readonly Target[];
  /** Whether to print with each answer whose it is. */
  readonly many: boolean;
}

/** Returns all VMs of the host; called where a word is no path. */
export type FindVms = () => Promise<readonly FoundVm[]>;

/** Splits the arguments of `ctl` at the first command: VMs before it, the command's arguments after it. */
export function splitAtCommand(
  words: readonly string[],
  commands: readonly string[],
  all = false,
): { readonly vms: readonly string[]; readonly name: string; readonly rest: readonly string[] } {
  // The first argument is a VM, even if it is also a command's name; not with --all.
  const at = words.findIndex((word, index) => (all || index > 0) && commands.includes(word));
  if (at >= 0) return { vms: words.slice(0, at), name: words[at]!, rest: words.slice(at + 1) };
  const first = all ? 0 : 1;
  return { vms: words.slice(0, first), name: words[first] ?? "", rest: words.slice(first + 1) };
}

/** Rejects with UserError for a folder that cannot be read or has no such sockets, and for a name that no VM has, or two. */
export async function findTargets(words: readonly string[], all: boolean, find: FindVms): Promise<Targets> {
  if (all && words.length > 0)
    throw new UserError(`ctl --all asks every VM of this host: leave ${words[0]} out, or --all`);
  const found: Targets[] = [];
  let vms: readonly FoundVm[] | undefined;
  for (const word of words) {
    if (!word.includes("/")) vms ??= await find();
    found.push(vms === undefined || word.includes("/") ? pathTargets(word) : targetsOf(word, vms));
  }
  if (all) found.push({ targets: (await find()).map(foundTarget), many: true });
  const targets = found.flatMap((one) => one.targets);
  const distinct = new Map(targets.map((target) => [target.path ?? target.label, target]));
  return { targets: [...distinct.values()], many: words.length > 1 || found.some(({ many }) => many) };
}

function targetsOf(word: string, vms: readonly FoundVm[]): Targets {
  if (word.includes("*")) {
    const pattern = matcher(word);
    const matching = vms.filter((vm) => pattern.test(vm.name ?? vm.mac ?? ""));
    if (matching.length > 0) return { targets: matching.map(foundTarget), many: true };
    throw new UserError(`${word}: no VM of this host has such a name; softnet list prints them`);
  }
  const called = calledBy(word, vms);
  if (called !== undefined) return { targets: [{ ...foundTarget(called), mayBeGone: false }], many: false };
  if (existsSync(word)) return pathTargets(word);
  throw new UserError(`${word}: no VM of this host has this name; softnet list prints them, and a path has a "/"`);
}

/** The VM of that name, or with that MAC address. A name that root gave is no other user's to take. */
function calledBy(word: string, vms: readonly FoundVm[]): FoundVm | undefined {
  const mac = parseMac(word);
  const called = vms.filter((vm) => (mac === undefined ? vm.name === word : vm.mac === formatMac(mac)));
  const [first, second] = called.some((vm) => vm.namedByRoot && mac === undefined)
    ? called.filter((vm) => vm.namedByRoot)
    : called;
  if (second === undefined) return first;
  const places = called.map((vm) => vm.control ?? "no control socket").join(", ");
  throw new UserError(`${word}: ${called.length} VMs of this host are called so; give the path of one: ${places}`);
}

function foundTarget({ name, mac, control }: FoundVm): Target {
  const label = name ?? mac ?? control ?? "";
  return { ...(control !== undefined && { path: control }), label: printable(label), mayBeGone: true };
}

/** `*` stands for any characters, also none. */
function matcher(pattern: string): RegExp {
  const escaped = pattern.split(/\*+/).map((part) => part.replace(/[^A-Za-z0-9]/g, "\\$&"));
  return new RegExp(`^${escaped.join(".*")}$`);
}

function pathTargets(word: string): Targets {
  const many = isFolder(word);
  const paths = many ? socketsOf(word) : [word];
  return { targets: paths.map((path) => ({ path, label: path, mayBeGone: false })), many };
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false; // the error of connecting describes it better
  }
}

function socketsOf(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw new UserError(`${folder}: the folder cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const paths = names
    .filter((name) => name.endsWith(SUFFIX))
    .sort()
    .map((name) => join(folder, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isSocket());
  if (paths.length > 0) return paths;
  throw new UserError(`${folder}: no socket in it has a name that ends with ${SUFFIX}; name the sockets themselves`);
}
