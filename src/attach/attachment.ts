/**
 * Takes an interface over as root. The order is what keeps it closed: softnet's TAP with its program stands first; then
 * the record says what will be changed; then the interface's programs, from which moment on it leads to the TAP alone; and
 * only then it is taken off its bridge. What a softnet of before left closed is never open in between.
 */
import { createHash, randomBytes, randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { hook, hookIngress, othersAt, plan, unhook } from "../lane/hooks.ts";
import { readKernelTypes } from "../lane/kernel-types.ts";
import type { KernelTypes } from "../lane/load.ts";
import { discardLane, type LoadedLane, loadPrograms, randomIndex } from "../lane/relay-tap.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { changeLinks } from "../native/linux/link-changes.ts";
import { Links } from "../native/linux/links.ts";
import type { Hook } from "../native/linux/tcx.ts";
import { createTap, type TapDevice } from "../ports/tap-device.ts";
import { UserError } from "../user-error.ts";
import { findInterface } from "./interface.ts";
import { keptInFolder, keptKernelTypes } from "./kept-kernel-types.ts";
import { nameOf, putBack } from "./put-back.ts";
import { type AttachRecord, AttachRecords } from "./record.ts";
import { closeSettings, readSettings, readTag, writeTag } from "./settings.ts";

export interface AttachOptions {
  /** The interface. */
  readonly name: string;
  /** The VM's MAC address, as the user wrote it. */
  readonly mac: string;
  readonly openOnExit: boolean;
  /** The registry's folder. */
  readonly directory: string;
  /** Why there shall be no express lane, in a few words; undefined: there shall be one. */
  readonly noLane?: string | undefined;
  /** The lane passes IPv6, too. */
  readonly ipv6?: boolean | undefined;
}

export interface Attachment {
  readonly name: string;
  readonly index: number;
  /** Softnet's, between the interface and the relay. */
  readonly tap: TapDevice;
  /** The number that softnet's TAP on the VM's network must have, if there is one. */
  readonly networkIndex: number;
  /** The express lane's programs and memory, or why there is no lane. */
  readonly lane: LoadedLane | string;
  readonly record: AttachRecord;
  /** What the record's `owner` was made of. */
  readonly token: string;
  /** Its own MAC address, where it was that of its bridge too. */
  readonly bridgeAddress: string | undefined;
  /** Ends where programs of others are too. */
  readonly others: readonly Hook[];
  /** As root: makes everything as it was before; what was closed then stays so. */
  undo(): void;
  /** Closes the TAP: the interface leads nowhere from then on. */
  close(): void;
  /** Lets the next softnet have the interface. */
  unlock(): void;
}

/** The bridge on which a softnet of before found the interface that it left closed; undefined where there is none. */
export function formerBridge(libc: LinuxLibc, directory: string, name: string): string | undefined {
  const index = libc.if_nametoindex(name);
  const record = index === 0 ? undefined : new AttachRecords(libc, directory).read(index);
  return record !== undefined && readTag(name) === record.tag ? record.bridge : undefined;
}

/** Throws UserError; then everything is as before. */
export function attach(libc: LinuxLibc, options: AttachOptions): Attachment {
  const links = new Links(libc);
  const undoing = new DisposableStack();
  try {
    return takeOver(libc, links, options, undoing);
  } catch (error) {
    const { message } = error as Error;
    const what = error instanceof UserError ? message : `attach ${options.name}: ${message}`;
    throw new UserError(`${what}${undoAll(undoing)}`);
  } finally {
    links.close();
  }
}

/** Returns what went wrong with it, to be added to a message. */
function undoAll(undoing: DisposableStack): string {
  try {
    undoing.dispose();
    return "";
  } catch (error) {
    return `; and ${(error as Error).message}`;
  }
}

function takeOver(libc: LinuxLibc, links: Links, options: AttachOptions, undoing: DisposableStack): Attachment {
  const { name, directory } = options;
  const { link, bridge } = findInterface(libc, links, name);
  const { index } = link;
  const records = new AttachRecords(libc, directory);
  const lock = records.lock(index);
  if (lock === undefined) throw new UserError(`attach ${name}: another softnet is attached to it; end that one first`);
  undoing.defer(() => libc.close(lock));
  forgetGone(libc, records);
  const before = records.read(index);
  const former = before !== undefined && readTag(name) === before.tag ? before : undefined;

  const relay = randomIndex();
  const networkIndex = randomIndex();
  const tap = createTap(libc, `attach ${name}`, relay);
  let tapIsOpen = true;
  const closeTap = (): void => {
    if (tapIsOpen) libc.close(tap.fd);
    tapIsOpen = false;
  };
  undoing.defer(closeTap);
  const kernelTypes = (): KernelTypes | string =>
    options.noLane ?? keptKernelTypes(keptInFolder(records.folder), readKernelTypes);
  const programs = loadPrograms(libc, { vm: index, relay, network: networkIndex }, options.ipv6 === true, kernelTypes);
  const { lane } = programs;
  undoing.defer(() => discardLane(libc, lane));
  try {
    const kind = prepareTap(libc, tap, relay, link.mtu, programs.fromRelay);
    const hooked = plan(libc, index, kind, programs.vm, former?.hooked ?? []);
    const token = randomBytes(32).toString("hex");
    const record: AttachRecord = {
      ...(former ?? {
        tag: randomInt(1, 2 ** 31),
        settings: readSettings(name),
        ...(bridge !== undefined && { bridge: bridge.name }),
        ...(link.portSettings !== undefined && { port: link.portSettings }),
      }),
      name,
      index,
      hooked: [...(former?.hooked ?? []), hooked],
      mac: options.mac,
      openOnExit: options.openOnExit,
      owner: ownerOf(token),
      pid: process.pid,
    };
    const undo = (): void => {
      if (former !== undefined) return;
      putBack(libc, record);
      records.remove(index);
    };
    undoing.defer(undo);
    records.write(record);
    writeTag(name, record.tag);
    hook(libc, index, kind, programs.vm);
    for (const each of former?.hooked ?? []) unhook(libc, index, each);
    changeLinks(libc, (changes) => changes.setMaster(index, 0));
    closeSettings(name);
    const complete = { ...record, hooked: [hooked] };
    records.write(complete);
    const bridgeAddress = bridge?.address === link.address ? link.address : undefined;
    const others = othersAt(libc, index, hooked);
    undoing.move();
    const unlock = (): void => void libc.close(lock);
    return {
      name,
      index,
      tap,
      networkIndex,
      lane,
      record: complete,
      token,
      bridgeAddress,
      others,
      undo,
      close: closeTap,
      unlock,
    };
  } finally {
    programs.close(); // softnet keeps none of them
  }
}

/** Removes records of interfaces that are no more, or were put back. */
function forgetGone(libc: LinuxLibc, records: AttachRecords): void {
  for (const record of records.list()) {
    if (!records.isLive(record.index) && nameOf(libc, record) === undefined) records.forget(record.index);
  }
}

/** The TAP with its program, up, closed to the host's own stack like the interface itself. */
function prepareTap(libc: LinuxLibc, tap: TapDevice, index: number, mtu: number, fromRelay: number): "tcx" | "clsact" {
  changeLinks(libc, (changes) => {
    if (existsSync("/proc/sys/net/ipv6")) changes.withoutIPv6Address(index);
    changes.setMtu(index, mtu);
  });
  closeSettings(tap.name);
  const kind = hookIngress(libc, index, fromRelay);
  changeLinks(libc, (changes) => changes.up(index));
  return kind;
}

export function ownerOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
