/** The registry of the system that this runs on, for commands that only read it. Only that system's part is loaded. */

import { existsSync } from "node:fs";
import type { ClosedInterface } from "../../attach/closed.ts";
import type { DomainsCards } from "../../operate/libvirt-cards.ts";
import type { Runtime } from "../../operate/vms.ts";
import type { RegistrySystem } from "../../registry/system.ts";
import { UserError } from "../../user-error.ts";

/** Throws UserError where there is none. */
export async function hostRegistry(): Promise<RegistrySystem> {
  if (process.platform === "linux") {
    const { loadLibc } = await import("../../native/linux/libc.ts");
    const { linuxRegistry } = await import("../../registry/linux.ts");
    return linuxRegistry(loadLibc());
  }
  if (process.platform === "darwin") {
    const { loadRegistryCalls } = await import("../../native/darwin/registry-calls.ts");
    const { darwinRegistry } = await import("../../registry/darwin.ts");
    const { loadDarwinLibc } = await import("../../native/darwin/libc.ts");
    return darwinRegistry(loadDarwinLibc(), loadRegistryCalls());
  }
  throw new UserError(`softnet keeps no registry on ${process.platform}`);
}

/** What ended softnets have left closed; nothing but on Linux. */
export async function closedInterfacesHere(): Promise<ClosedInterface[]> {
  if (process.platform !== "linux") return [];
  const { closedInterfaces } = await import("../../attach/closed.ts");
  const { loadLibc } = await import("../../native/linux/libc.ts");
  const { DIRECTORY } = await import("../../registry/linux.ts");
  return closedInterfaces(loadLibc(), DIRECTORY);
}

/** Cards of libvirt's domains that ask for softnet and do not have it. To be called without borrowed rights. */
export async function domainsCardsHere(): Promise<DomainsCards> {
  const { HOOK_FOLDER } = await import("../../operate/hook-files.ts");
  const { hiddenDomains, NO_DOMAINS, readDomainsCards, STATES } = await import("../../operate/libvirt-cards.ts");
  if (process.platform !== "linux" || !existsSync(STATES)) return NO_DOMAINS;
  if (process.geteuid!() !== 0) return existsSync(HOOK_FOLDER) ? hiddenDomains(STATES) : NO_DOMAINS;
  const { bridgeOf, guardedInterfaces } = await import("../../attach/guards.ts");
  const { loadLibc } = await import("../../native/linux/libc.ts");
  const { DIRECTORY } = await import("../../registry/linux.ts");
  const { existingConfig } = await import("../vm-config-file.ts");
  const libc = loadLibc();
  return readDomainsCards({
    states: STATES,
    hasFile: (name) => existingConfig(name) !== undefined,
    guarded: () => guardedInterfaces(libc, DIRECTORY),
    bridgeOf: (name) => bridgeOf(libc, name),
  });
}

/**
 * The runtime folders in which softnets may have made control sockets (`--name`): for root those of all users, for others the
 * own one. None but on Linux. Each with the user who must own it.
 */
export async function userRuntimesHere(): Promise<Runtime[]> {
  if (process.platform !== "linux") return [];
  const { findRuntimes } = await import("../../operate/vms.ts");
  return findRuntimes(process.env, process.geteuid!());
}
