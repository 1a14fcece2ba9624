/**
 * One VM's record in the registry. Its file is made and locked while softnet is root; later writes use that descriptor
 * and need no rights.
 *
 * An address is learned in two steps: softnet claims it in its own record, then reads the other records. If another
 * record has or claims the address, softnet withdraws its claim. So of two softnets that get the same address at the
 * same moment at most one learns it; at worst both withdraw, and their VMs ask again. IPv6 addresses are in
 * registered-ipv6.ts.
 */

import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, closeSync, fstatSync, openSync, writeSync } from "node:fs";
import type { BindingChange, BoundIPv4Address, BoundIPv6Address, NamePair, RestoredAddress } from "../guard/types.ts";
import { formatIPv6 } from "../wire/ipv6-address.ts";
import { readRecord, recordNames } from "./files.ts";
import { expiresAt, isOver, type Moment, momentOf, outlives, timeOfDay, whyNotRestorable } from "./lifetime.ts";
import { namePrefix } from "./names.ts";
import { createPairs, readPairs, writePairs } from "./pairs-file.ts";
import { type Entry, encodeRecord, isControl, type KeptAddress } from "./record.ts";
import { hasIPv6, RegisteredIPv6 } from "./registered-ipv6.ts";
import { ensureDirectory, type Predecessor, removeRecord, type Swept, sweep } from "./sweep.ts";
import type { RegistrySystem } from "./system.ts";

export interface RegistrationOptions {
  /** The network's name, unique on this host or in its namespace: `bridge br0`. */
  readonly network: string;
  /** The VM's MAC address, 48 bits. */
  readonly mac: number;
  readonly pid: number;
  /** The absolute path of the control socket; left out if it is too long or not printable. */
  readonly control?: string;
  /** What `--name` calls the VM. */
  readonly name?: string;
  /** Whether IPv6 is on: the record is of version 2, and IPv6 addresses are taken over. */
  readonly ipv6?: boolean;
  /** Whether the addresses of names are kept and taken over (pairs-file.ts). */
  readonly pairs?: boolean;
}

/** An earlier address that was not restored. */
export interface NotRestored {
  /** A number is IPv4's, a bigint IPv6's. */
  readonly address: number | bigint;
  readonly why: string;
}

/** `from`: the record that the address was restored from. */
interface TakenOver {
  restored?: RestoredAddress;
  notRestored?: NotRestored;
  from?: string;
}

interface TakenOverIPv6 {
  readonly restored: BoundIPv6Address[];
  readonly notRestored: NotRestored[];
  readonly from?: string;
}

const HELD = "another softnet's VM has the address now";

/** How often the file is made again because another softnet's sweep removed it. */
const ATTEMPTS = 16;

export class Registration {
  /**
   * The VM's earlier address, with its end on the guard's clock, unless another live softnet's VM has it now.
   */
  readonly restored: RestoredAddress | undefined;
  /** The VM's earlier address, if it was not restored, and why. */
  readonly notRestored: NotRestored | undefined;
  /** The VM's earlier IPv6 addresses, with their ends on the guard's clock, and those that were not restored. */
  readonly restored6: readonly BoundIPv6Address[];
  readonly notRestored6: readonly NotRestored[];
  /** Addresses of names that the VM has looked up before, where one of its own addresses was restored. */
  readonly restoredPairs: readonly NamePair[] = [];
  readonly #control: string | undefined;
  readonly #vmName: string | undefined;
  readonly #system: RegistrySystem;
  readonly #network: string;
  readonly #mac: number;
  readonly #pid: number;
  readonly #boot: string;
  readonly #name: string;
  #fd: number;
  /** Of the file with pairs; -1 = there is none. */
  #pairsFd = -1;
  #kept: KeptAddress | undefined;
  #state: Entry["state"] = "none";
  /** The IPv4 address that is claimed; 0 = none. */
  #claimed = 0;
  /** Undefined while IPv6 is off. */
  readonly #ipv6: RegisteredIPv6 | undefined;

  /** Makes the VM's file, as root. Throws UntrustedRegistry, or the system's error. */
  static open(system: RegistrySystem, options: RegistrationOptions): Registration {
    ensureDirectory(system);
    const network = withScope(options.network, system.networkScope());
    return new Registration(system, { ...options, network }, sweep(system, network, options.mac));
  }

  private constructor(system: RegistrySystem, options: RegistrationOptions, { predecessors, over }: Swept) {
    this.#system = system;
    this.#network = options.network;
    this.#mac = options.mac;
    this.#pid = options.pid;
    this.#control = isControl(options.control) ? options.control : undefined;
    this.#vmName = options.name;
    this.#boot = system.bootId();
    this.#ipv6 = options.ipv6 === true ? new RegisteredIPv6(system) : undefined;
    const { name, fd } = create(system, namePrefix(options.network, options.mac), () => this.#encode());
    this.#name = name;
    this.#fd = fd;
    try {
      const found = this.#takeOver(predecessors);
      this.restored = found.restored;
      this.notRestored = found.restored === undefined ? (found.notRestored ?? over) : undefined;
      const found6 = this.#takeOverIPv6(predecessors);
      this.restored6 = found6.restored;
      this.notRestored6 = found6.notRestored;
      if (options.pairs === true) {
        this.#pairsFd = createPairs(system, name);
        // Before the earlier file is removed, so that they are in one at any time.
        const from = found.from ?? found6.from;
        this.restoredPairs = from === undefined ? [] : readPairs(system, from);
        if (this.restoredPairs.length > 0) this.keepPairs(this.restoredPairs);
      }
      for (const { name } of predecessors) removeRecord(this.#system, name);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Claims an address for the VM. Returns true when another live softnet's VM on the same network has or claims it:
   * then this VM must not get it. Throws when the records cannot be read: then it must not get it either.
   */
  isHeldElsewhere = (address: number): boolean => {
    this.#write(this.#boundOrNone(), address);
    let held = true;
    try {
      held = this.#findHolder((entry, moment) => hasIPv4(entry, address, moment));
    } finally {
      if (held) this.#write(this.#boundOrNone(), 0);
    }
    return held;
  };

  /**
   * As `isHeldElsewhere`, for an IPv6 address. The claim lasts for some seconds, until the address is the VM's. Throws
   * RangeError for more claims than a record has places.
   */
  isHeldElsewhere6 = (address: bigint): boolean => {
    const own = this.#ownIPv6;
    own.claim(address);
    let held = true;
    try {
      this.#rewrite();
      held = this.#findHolder((entry, moment) => hasIPv6(entry, address, moment));
    } finally {
      if (held) {
        own.withdraw(address);
        this.#rewrite();
      }
    }
    return held;
  };

  /** Stores the IPv4 address that the guard begins with; false when it is static and another live softnet's VM has it. */
  begin(bound: BoundIPv4Address | undefined): boolean {
    if (bound?.origin === "static") {
      if (this.isHeldElsewhere(bound.address)) return false;
      this.follow({ kind: "learned", bound });
    } else if (bound === undefined && this.#kept !== undefined) {
      this.#kept = undefined; // the guard did not accept the restored address
      this.#write("none", 0);
    }
    return true;
  }

  /**
   * Stores the IPv6 addresses that the guard begins with. Returns a static one that another live softnet's VM has, and
   * then stores no more.
   */
  begin6(addresses: readonly BoundIPv6Address[]): bigint | undefined {
    if (this.#ipv6 === undefined) return undefined;
    for (const { address, origin } of addresses) {
      if (origin === "static" && this.isHeldElsewhere6(address)) return address;
    }
    this.#ipv6.replace(addresses); // the guard may not have accepted all that was restored
    this.#rewrite();
    return undefined;
  }

  /** Stores a change of the VM's addresses. Throws the system's error; a claimed address then stays claimed. */
  follow(change: BindingChange): void {
    if (change.bound.family === "ipv6") {
      this.#followIPv6(change.kind, change.bound);
      return;
    }
    if (change.kind !== "lost") {
      this.#kept = this.#keep(change.bound);
      this.#write("bound", 0);
    } else if (change.why !== "replaced") {
      // After "replaced" the new address follows at once; its address is claimed already.
      this.#kept = undefined;
      this.#write("none", 0);
    }
  }

  /**
   * An address whose claim is over (this process was stopped for longer) may be another VM's by now. Then the guard has it
   * already: throws, so that nothing more is forwarded.
   */
  #followIPv6(kind: BindingChange["kind"], bound: BoundIPv6Address): void {
    const own = this.#ownIPv6;
    if (kind === "lost") own.remove(bound.address);
    else if (!own.holds(bound.address) && this.isHeldElsewhere6(bound.address)) {
      throw new Error(`another softnet's VM has ${formatIPv6(bound.address)} too`);
    } else own.keep(bound);
    this.#rewrite();
  }

  /** Stores that the IPv4 address was released to its server; the next softnet for this VM may restore it all the same. */
  released(): void {
    this.#write(this.#kept === undefined ? "none" : "released", 0);
  }

  /** Stores the addresses of names, the one whose answer is the oldest first. Throws the system's error. */
  keepPairs(pairs: Iterable<NamePair>): void {
    if (this.#pairsFd >= 0) writePairs(this.#pairsFd, pairs, this.#system.sinceBoot());
  }

  /**
   * Ends the registration. Addresses that can be restored (`outlives`) stay in their file. Otherwise the file is
   * removed, by this softnet if it is still root, else by the next one that starts.
   */
  close(): void {
    if (this.#fd < 0) return;
    try {
      const lasting6 = this.#ipv6?.end() ?? 0;
      const lasts = outlives(this.#kept);
      if (lasting6 > 0 || (!lasts && this.#kept !== undefined)) {
        if (!lasts) this.#kept = undefined;
        this.#write(lasts ? this.#state : "none", 0);
      }
      if (!lasts && lasting6 === 0) this.#removeOwn();
    } finally {
      closeSync(this.#fd);
      this.#fd = -1;
      if (this.#pairsFd >= 0) closeSync(this.#pairsFd);
      this.#pairsFd = -1;
    }
  }

  /** Removes the file while its lock is held, so that no other softnet removes it. */
  #removeOwn(): void {
    try {
      removeRecord(this.#system, this.#name);
    } catch {
      // This process is not root any more.
    }
  }

  /**
   * Restores the address of the same VM's earlier softnets and removes their files. Of two that try at once, at most
   * one succeeds.
   */
  #takeOver(predecessors: readonly Predecessor[]): TakenOver {
    const moment = momentOf(this.#system);
    const found: TakenOver = {};
    for (const { name, entry } of predecessors) {
      const { binding } = entry;
      if (binding === undefined) continue;
      const { address, server, netmask, router, dnsServers, acknowledged, expiresSinceBoot } = binding;
      const why = whyNotRestorable(entry, binding, moment) ?? (this.isHeldElsewhere(address) ? HELD : undefined);
      if (why !== undefined) {
        found.notRestored ??= { address, why };
        continue;
      }
      const rest = { address, server, netmask, router, dnsServers, ...(acknowledged && { acknowledged }) };
      found.from = name;
      found.restored = { family: "ipv4", ...rest, expiry: expiresSinceBoot };
      this.#kept = { ...binding, expires: expiresAt(binding, moment) };
      this.#write("bound", 0);
      break;
    }
    return found;
  }

  /** As `#takeOver`, with the IPv6 addresses of the newest earlier softnet that had any. */
  #takeOverIPv6(predecessors: readonly Predecessor[]): TakenOverIPv6 {
    const restored: BoundIPv6Address[] = [];
    const notRestored: NotRestored[] = [];
    const moment = momentOf(this.#system);
    const predecessor = predecessors.find((one) => (one.entry.ipv6?.length ?? 0) > 0);
    if (this.#ipv6 === undefined || predecessor === undefined) return { restored, notRestored };
    const { name, entry } = predecessor;
    for (const kept of entry.ipv6!.filter((one) => outlives(one))) {
      const { address, origin, lease, expiresSinceBoot } = kept;
      const why = whyNotRestorable(entry, kept, moment) ?? (this.isHeldElsewhere6(address) ? HELD : undefined);
      if (why !== undefined) {
        notRestored.push({ address, why });
        continue;
      }
      // What ends by being idle has no end of its own while softnet runs.
      const expiry = origin === "slaac" ? Number.POSITIVE_INFINITY : expiresSinceBoot;
      const bound = { family: "ipv6", address, origin, expiry, ...(lease && { lease }) } as const;
      this.#ipv6.keep(bound);
      restored.push(bound);
    }
    this.#rewrite();
    return { restored, notRestored, ...(restored.length > 0 && { from: name }) };
  }

  /** Whether another VM's live softnet has an address in its record, as `has` finds out. */
  #findHolder(has: (entry: Entry, moment: Moment) => boolean): boolean {
    const moment = momentOf(this.#system);
    const prefix = namePrefix(this.#network);
    const names = recordNames(this.#system);
    // If the own record was removed, others may have been, or the folder was replaced: the records prove nothing.
    if (!names.includes(this.#name)) throw new Error(`the VM's own record is not in ${this.#system.directory}`);
    for (const name of names) {
      if (name === this.#name || !name.startsWith(prefix)) continue;
      const found = readRecord(this.#system, name);
      if (found === undefined || !found.live) continue;
      const { entry } = found;
      if (entry === undefined) return true; // it is live, and its address cannot be read
      if (entry.network === this.#network && has(entry, moment)) return true;
    }
    return false;
  }

  #boundOrNone(): Entry["state"] {
    return this.#kept === undefined ? "none" : "bound";
  }

  get #ownIPv6(): RegisteredIPv6 {
    if (this.#ipv6 === undefined) throw new Error("an IPv6 address without --ipv6");
    return this.#ipv6;
  }

  #keep(bound: BoundIPv4Address): KeptAddress {
    const { family: _, expiry, ...rest } = bound;
    return { ...rest, expires: timeOfDay(this.#system, expiry), expiresSinceBoot: expiry };
  }

  #encode(): Uint8Array {
    const state = this.#state;
    return encodeRecord({
      boot: this.#boot,
      network: this.#network,
      mac: this.#mac,
      pid: this.#pid,
      state,
      ...(state !== "none" && this.#kept && { binding: this.#kept }),
      ...(this.#control !== undefined && { control: this.#control }),
      ...(this.#vmName !== undefined && { name: this.#vmName }),
      claimed: this.#claimed,
      ...this.#ipv6?.entry(),
      written: this.#system.now(),
      writtenSinceBoot: this.#system.sinceBoot(),
    });
  }

  #write(state: Entry["state"], claimed: number): void {
    this.#state = state;
    this.#claimed = claimed;
    this.#rewrite();
  }

  #rewrite(): void {
    const record = this.#encode();
    const written = writeSync(this.#fd, record, 0, record.length, 0);
    if (written !== record.length) throw new Error(`only ${written} bytes of a record were written`);
  }
}

/** Whether a live softnet's VM has or claims that address. */
function hasIPv4(entry: Entry, address: number, moment: Moment): boolean {
  if (entry.claimed === address) return true;
  const held = entry.state === "bound" && entry.binding?.address === address;
  return held && !(entry.boot === moment.boot && isOver(entry, moment));
}

/** Adds the namespace, which distinguishes networks of the same name on one host. */
function withScope(network: string, scope: string): string {
  return scope === "" ? network : `${network}, ${scope}`;
}

/**
 * Makes a file that is locked and complete before others can read it. Until then only the softnet with the lock may
 * remove it (sweep.ts), so a file that exists and is locked by this softnet stays.
 */
function create(system: RegistrySystem, prefix: string, empty: () => Uint8Array): { name: string; fd: number } {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const name = `${prefix}-${randomBytes(4).toString("hex")}`;
    const path = `${system.directory}/${name}`;
    const fd = openSync(path, "wx+", 0o600);
    try {
      if (system.lock(fd) && fstatSync(fd).nlink === 1) {
        const record = empty();
        writeSync(fd, record, 0, record.length, 0);
        // By path, which is safe in a folder of root's: Node's permission model (of the executable) refuses fchmod.
        if (system.owner === 0) chownSync(path, 0, 0);
        chmodSync(path, 0o644);
        return { name, fd };
      }
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd); // another softnet, which is starting, took it for a leftover and removes it
  }
  throw new Error(`no record can be made in ${system.directory}: other processes remove it`);
}
