/** A run's part in the host's registry: the VM's place in it, and giving the address back at the end. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Guard } from "../guard/guard.ts";
import type { GuardOptions } from "../guard/types.ts";
import type { Network } from "../networks/network.ts";
import { UntrustedRegistry } from "../registry/files.ts";
import { type NotRestored, Registration } from "../registry/registration.ts";
import { ensureDirectory } from "../registry/sweep.ts";
import type { RegistrySystem } from "../registry/system.ts";
import type { Log } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { formatIPv4, parseIPv4, parseMac } from "../wire/address.ts";
import { formatAddress, formatIPv6, parseIPv6 } from "../wire/ipv6-address.ts";
import type { SessionArguments } from "./options.ts";
import { vmAddresses } from "./vm-addresses.ts";

/**
 * Registers the VM, with the addresses of names where `pairs` is set, before root's rights are dropped. Undefined where there is no root, and for networks that nobody can
 * distinguish from others. Throws UserError, also for a static address that another live softnet's VM has.
 */
export function register(
  system: RegistrySystem | undefined,
  network: Network,
  given: Pick<SessionArguments, "vmMacAddress" | "vmIpAddress" | "controlSocket" | "ipv6" | "name"> & {
    readonly pairs?: boolean;
  },
  log: Log,
): Registration | undefined {
  if (system === undefined || network.identity === undefined || process.geteuid!() !== 0) {
    log.debug("no registry: addresses of other VMs, and of this one before, are not known", { network: network.label });
    return undefined;
  }
  const { vmMacAddress = "", controlSocket, ipv6 = false, name, pairs = false } = given;
  const mac = parseMac(vmMacAddress) ?? 0;
  const fixed = vmAddresses(given);
  const address = parseIPv4(fixed.ipv4 ?? "");
  const address6 = ipv6 ? parseIPv6(fixed.ipv6 ?? "") : undefined;
  let registration: Registration | undefined;
  try {
    const known = {
      ...(controlSocket !== undefined && { control: resolve(controlSocket) }),
      ...(name !== undefined && { name }),
    };
    registration = Registration.open(system, {
      network: network.identity,
      mac,
      pid: process.pid,
      ipv6,
      pairs,
      ...known,
    });
    // Asked again in `beginWithBinding`; but now the record can be removed.
    if (address !== undefined && registration.isHeldElsewhere(address)) throw heldElsewhere(address, network);
    if (address6 !== undefined && registration.isHeldElsewhere6(address6)) throw heldElsewhere(address6, network);
    return registration;
  } catch (error) {
    registration?.close();
    throw unusable(system, error);
  }
}

/** Makes the registry's folder, as root. Throws UserError. */
export function prepareRegistry(system: RegistrySystem): void {
  try {
    ensureDirectory(system);
  } catch (error) {
    throw unusable(system, error);
  }
}

/** Why the registry is of no use, with the remedy. */
function unusable({ directory }: RegistrySystem, error: unknown): UserError {
  if (error instanceof UserError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof UntrustedRegistry) return new UserError(`${message}: remove it, and start softnet again`);
  if (code === "EROFS") {
    return new UserError(
      `the registry ${directory} cannot be used (${message}): its file system is read-only, mount a writable one (a tmpfs) on /run`,
    );
  }
  const remedy = existsSync(directory) ? "" : ": let root be able to make it";
  return new UserError(`the registry ${directory} cannot be used (${message})${remedy}`);
}

/** What the guard has to know from the registry. `time`: now, in microseconds on the guard's clock. */
export function registryOptions(registration: Registration | undefined, time: number): Partial<GuardOptions> {
  if (registration === undefined) return {};
  const { restored, restored6, restoredPairs, isHeldElsewhere, isHeldElsewhere6 } = registration;
  const addresses = [...(restored ? [restored] : []), ...restored6];
  return {
    heldElsewhere: isHeldElsewhere,
    heldElsewhere6: isHeldElsewhere6,
    ...(addresses.length > 0 && { restored: { addresses, time } }),
    ...(restoredPairs.length > 0 && { restoredNames: restoredPairs }),
  };
}

/** Notes with which addresses the guard begins. Throws UserError where a static one is another live softnet's. */
export function beginWithBinding(
  registration: Registration | undefined,
  guard: Guard,
  network: Network,
  log: Log,
): void {
  const { ipv4, ipv6 } = guard.binding;
  if (registration?.begin(ipv4) === false) throw heldElsewhere(ipv4!.address, network);
  const held = registration?.begin6(ipv6);
  if (held !== undefined) throw heldElsewhere(held, network);
  if (registration?.restored !== undefined && ipv4 !== undefined && ipv4.origin !== "static") {
    log.info("binding restored", { address: formatIPv4(ipv4.address), server: formatIPv4(ipv4.server) });
  }
  const restored6 = registration?.restored6.map(({ address }) => address) ?? [];
  for (const { address, origin } of ipv6) {
    if (restored6.includes(address)) log.info("binding restored", { address: formatIPv6(address), origin });
  }
  const pairs = registration?.restoredPairs.length ?? 0;
  if (pairs > 0) log.info("addresses of names restored", { pairs });
  for (const { address, why } of notTakenUp(registration, guard)) {
    log.info("the VM's binding of before is not taken up", { address: formatAddress(address), why });
  }
}

/** Addresses of before that the VM does not go on with. The options may have changed since they were learned. */
function notTakenUp(registration: Registration | undefined, guard: Guard): readonly NotRestored[] {
  if (registration === undefined) return [];
  const { ipv4, ipv6 } = guard.binding;
  const { restored, restored6, notRestored, notRestored6 } = registration;
  const now = new Set(ipv6.map(({ address }) => address));
  return [
    ...(notRestored === undefined ? [] : [notRestored]),
    ...(restored === undefined || ipv4?.address === restored.address
      ? []
      : [{ address: restored.address, why: REFUSED }]),
    ...notRestored6,
    ...restored6.filter(({ address }) => !now.has(address)).map(({ address }) => ({ address, why: REFUSED_IPV6 })),
  ];
}

const REFUSED = "no DHCP server could assign it with the options of now";
const REFUSED_IPV6 = "it could not become the VM's with the options of now";

function heldElsewhere(address: number | bigint, network: Network): UserError {
  return new UserError(
    `--vm-ip-address ${formatAddress(address)}: another softnet's VM has this address on ${network.label}, as softnet list tells; give another`,
  );
}
