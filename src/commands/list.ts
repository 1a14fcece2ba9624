/**
 * `softnet list`: prints which VM of this host has which address, from the registry, and which interfaces ended softnets have
 * left closed. Any user may run it.
 */
import type { ClosedInterface } from "../attach/closed.ts";
import { UntrustedRegistry } from "../registry/files.ts";
import { type Holder, readHolders } from "../registry/holders.ts";
import type { RegistrySystem } from "../registry/system.ts";
import { UserError } from "../user-error.ts";
import { formatMac } from "../wire/address.ts";
import { formatAddress } from "../wire/ipv6-address.ts";
import { Output } from "./output.ts";

export interface ListArguments {
  readonly json?: boolean;
}

const HEADINGS = ["ADDRESS", "MAC", "STATE", "EXPIRES", "PID", "CONTROL", "NETWORK"];

/** Prints to `descriptor` (stdout); nothing where no VM has an address and nothing is closed. Throws UserError. */
export function list(
  system: RegistrySystem,
  { json }: ListArguments,
  descriptor: number,
  closed: readonly ClosedInterface[] = [],
): void {
  const holders = read(system);
  const output = new Output(descriptor);
  const lines = json
    ? [...holders.map(toJson), ...closed.map(closedToJson)].map((line) => JSON.stringify(line))
    : table([...holders.map(toRow), ...closed.map(closedToRow)]);
  for (const line of lines) output.line(line);
  output.flush();
}

function read(system: RegistrySystem): Holder[] {
  try {
    return readHolders(system);
  } catch (error) {
    if (error instanceof UntrustedRegistry) {
      throw new UserError(`${error.message}, so it cannot be trusted: let root remove it`);
    }
    throw new UserError(`the registry cannot be read: ${(error as Error).message}`);
  }
}

/** Keys as in the table's headings; times in ISO 8601. */
function toJson({ address, mac, state, origin, expires, pid, control, network }: Holder): object {
  return {
    address: formatAddress(address),
    mac: formatMac(mac),
    state,
    origin,
    expires: Number.isFinite(expires) ? new Date(expires).toISOString() : null,
    pid: pid ?? null,
    control: control ?? null,
    network,
  };
}

/** The same members, and the interface. */
function closedToJson({ name, mac, bridge }: ClosedInterface): object {
  return {
    address: null,
    mac,
    state: "closed",
    origin: null,
    expires: null,
    pid: null,
    control: null,
    network: bridge === undefined ? null : `bridge ${bridge}`,
    interface: name,
  };
}

/** Columns as wide as their longest cell; no headings without a line below them. */
function table(lines: readonly (readonly string[])[]): string[] {
  if (lines.length === 0) return [];
  const rows = [HEADINGS, ...lines];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

function toRow({ address, mac, state, expires, pid, control = "-", network }: Holder): string[] {
  const ends = Number.isFinite(expires) ? new Date(expires).toISOString().replace(/\.\d+/, "") : "never";
  return [formatAddress(address), formatMac(mac), state, ends, pid === undefined ? "-" : String(pid), control, network];
}

function closedToRow({ name, mac, bridge }: ClosedInterface): string[] {
  const where = bridge === undefined ? name : `${name}, before on bridge ${bridge}`;
  return ["-", mac, "closed", "-", "-", "-", where];
}
