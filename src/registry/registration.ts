/**
 * One VM's place in the registry. Its file is made and locked while softnet is root; everything later is written through
 * that descriptor, by whoever softnet has become.
 *
 * An address is learned in two steps, so that of two softnets which are given the same one at the same instant at most one
 * learns it: first it is claimed in the own record, then the others' records are read. Who sees another's claim or
 * binding takes its own claim back; at worst both do, and their VMs ask again.
 */

import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, closeSync, fstatSync, openSync, writeSync } from "node:fs";
import type { BindingChange, Binding as GuardBinding, RestoredBinding } from "../guard/types.ts";
import { readRecord, recordNames } from "./files.ts";
import { expiresAt, isOver, momentOf, outlives, whyNotRestorable } from "./lifetime.ts";
import { namePrefix } from "./names.ts";
import { type Entry, encodeRecord, isControl, type KeptBinding } from "./record.ts";
import { ensureDirectory, type Predecessor, removeRecord, type Swept, sweep } from "./sweep.ts";
import type { RegistrySystem } from "./system.ts";

export interface RegistrationOptions {
  /** What distinguishes the network from others of its kind: `bridge br0`. */
  readonly network: string;
  /** The VM's MAC address, 48 bits. */
  readonly mac: number;
  readonly pid: number;
  /** Where its controllers connect, an absolute path; what is no text of a record's is left out. */
  readonly control?: string;
}

/** A binding of before that is not gone on with. */
export interface NotRestored {
  readonly address: number;
  readonly why: string;
}

const HELD = "another softnet's VM has the address now";

/** Files that are made again because another softnet cleaned up in between. */
const ATTEMPTS = 16;

export class Registration {
  /** What the VM had before, with its end on the guard's clock; not with another live softnet's address. */
  readonly restored: RestoredBinding | undefined;
  /** What the VM had before, where it is not that. */
  readonly notRestored: NotRestored | undefined;
  readonly #control: string | undefined;
  readonly #system: RegistrySystem;
  readonly #network: string;
  readonly #mac: number;
  readonly #pid: number;
  readonly #boot: string;
  readonly #name: string;
  #fd: number;
  #binding: KeptBinding | undefined;

  /** Makes the VM's file, as root. Throws UntrustedRegistry, or what the system says. */
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
    this.#boot = system.bootId();
    const { name, fd } = create(system, namePrefix(options.network, options.mac), () => this.#encode("none", 0));
    this.#name = name;
    this.#fd = fd;
    try {
      const found = this.#takeOver(predecessors);
      this.restored = found.restored;
      this.notRestored = found.restored === undefined ? (found.notRestored ?? over) : undefined;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Claims an address for the VM; returns true when it may not have it, because another live softnet's VM on the same
   * network has or claims it. Throws where that cannot be found out: then it may not have it either.
   */
  isHeldElsewhere = (address: number): boolean => {
    this.#write(this.#state(), address);
    let held = true;
    try {
      held = this.#findHolder(address);
    } finally {
      if (held) this.#write(this.#state(), 0);
    }
    return held;
  };

  /** Notes the binding with which the guard begins; false when it is static and another live softnet's VM has it. */
  begin(binding: GuardBinding | undefined): boolean {
    if (binding?.origin === "static") {
      if (this.isHeldElsewhere(binding.address)) return false;
      this.follow({ kind: "learned", binding });
    } else if (binding === undefined && this.#binding !== undefined) {
      this.#binding = undefined; // the guard did not take what was restored
      this.#write("none", 0);
    }
    return true;
  }

  /** Follows the VM's binding. Throws what the system says; the address that was claimed then stays claimed. */
  follow(change: BindingChange): void {
    if (change.kind !== "lost") {
      this.#binding = this.#keep(change.binding);
      this.#write("bound", 0);
    } else if (change.why !== "replaced") {
      // A replaced one is followed at once by the one that replaces it, which is claimed already.
      this.#binding = undefined;
      this.#write("none", 0);
    }
  }

  /** The VM's address was given back to its server; who starts again for this VM may go on with it all the same. */
  released(): void {
    this.#write(this.#binding === undefined ? "none" : "released", 0);
  }

  /**
   * Ends the registration; what is still bound can be gone on with, if it was learned from the network's server. Else the
   * file is of no more use: whoever is still root removes it, for the others the next softnet does.
   */
  close(): void {
    if (this.#fd < 0) return;
    try {
      if (outlives(this.#binding)) return;
      if (this.#binding !== undefined) this.#write("none", 0);
      this.#removeOwn();
    } finally {
      closeSync(this.#fd);
      this.#fd = -1;
    }
  }

  /** While the lock is held: so nobody else does. */
  #removeOwn(): void {
    try {
      removeRecord(this.#system, this.#name);
    } catch {
      // Not root any more.
    }
  }

  /** Goes on from the same VM's softnets of before, whose files then go. Of two that try so at once at most one does. */
  #takeOver(predecessors: readonly Predecessor[]): { restored?: RestoredBinding; notRestored?: NotRestored } {
    const moment = momentOf(this.#system);
    const found: { restored?: RestoredBinding; notRestored?: NotRestored } = {};
    for (const { entry } of predecessors) {
      const { binding } = entry;
      if (binding === undefined) continue;
      const { address, server, netmask, router, dnsServers, acknowledged, expiresSinceBoot } = binding;
      const why = whyNotRestorable(entry, binding, moment) ?? (this.isHeldElsewhere(address) ? HELD : undefined);
      if (why !== undefined) {
        found.notRestored ??= { address, why };
        continue;
      }
      const rest = { address, server, netmask, router, dnsServers, ...(acknowledged && { acknowledged }) };
      found.restored = { ...rest, expiry: expiresSinceBoot };
      this.#binding = { ...binding, expires: expiresAt(binding, moment) };
      this.#write("bound", 0);
      break;
    }
    for (const { name } of predecessors) removeRecord(this.#system, name);
    return found;
  }

  /** Whether another VM's living softnet has that address in its record. */
  #findHolder(address: number): boolean {
    const moment = momentOf(this.#system);
    const prefix = namePrefix(this.#network);
    const names = recordNames(this.#system);
    // Somebody removed it, and others' with it, or put another folder in its place: what is there means nothing.
    if (!names.includes(this.#name)) throw new Error(`the VM's own record is not in ${this.#system.directory}`);
    for (const name of names) {
      if (name === this.#name || !name.startsWith(prefix)) continue;
      const found = readRecord(this.#system, name);
      if (found === undefined || !found.live) continue;
      const { entry } = found;
      if (entry === undefined) return true; // it lives, and nobody can tell what it holds
      if (entry.network !== this.#network) continue;
      if (entry.claimed === address) return true;
      const held = entry.state === "bound" && entry.binding?.address === address;
      if (held && !(entry.boot === moment.boot && isOver(entry, moment))) return true;
    }
    return false;
  }

  #state(): Entry["state"] {
    return this.#binding === undefined ? "none" : "bound";
  }

  #keep(binding: GuardBinding): KeptBinding {
    const { expiry, ...rest } = binding;
    const left = expiry - this.#system.sinceBoot();
    return {
      ...rest,
      expires: Number.isFinite(left) ? Math.max(0, Math.floor(this.#system.now() + left / 1000)) : left,
      expiresSinceBoot: expiry,
    };
  }

  #encode(state: Entry["state"], claimed: number): Uint8Array {
    return encodeRecord({
      boot: this.#boot,
      network: this.#network,
      mac: this.#mac,
      pid: this.#pid,
      state,
      ...(state !== "none" && this.#binding && { binding: this.#binding }),
      ...(this.#control !== undefined && { control: this.#control }),
      claimed,
      written: this.#system.now(),
      writtenSinceBoot: this.#system.sinceBoot(),
    });
  }

  #write(state: Entry["state"], claimed: number): void {
    const record = this.#encode(state, claimed);
    const written = writeSync(this.#fd, record, 0, record.length, 0);
    if (written !== record.length) throw new Error(`only ${written} bytes of a record were written`);
  }
}

/** Equally named networks of one host are distinguished by what follows the name. */
function withScope(network: string, scope: string): string {
  return scope === "" ? network : `${network}, ${scope}`;
}

/**
 * Makes a file that is locked and whole before others can read it. Until then only who has the lock may remove it
 * (sweep.ts), so one that is there under our lock stays.
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
        // By path: the folder is root's alone, and Node's permission system (the executable's) has no fchmod.
        if (system.owner === 0) chownSync(path, 0, 0);
        chmodSync(path, 0o644);
        return { name, fd };
      }
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd); // a softnet that starts now took it for one that was left behind, and removes it
  }
  throw new Error(`no record can be made in ${system.directory}: others remove it`);
}
