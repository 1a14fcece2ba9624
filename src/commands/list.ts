/**
 * `softnet list`: prints every VM of this host whose softnet runs, however it was started, with what its softnet says of itself
 * where the caller may ask it; VMs whose softnet has ended and whose address may be taken up again; and which interfaces
 * ended softnets have left closed. Any user may run it.
 */
import type { ClosedInterface } from "../attach/closed.ts";
import { columns } from "../operate/columns.ts";
import { duration, fieldsOf, listOf, numberOf, textOf } from "../operate/fields.ts";
import { type HostVm, readHostVms } from "../operate/host-vms.ts";
import { type FoundVm, findVms, type Runtime } from "../operate/vms.ts";
import { UntrustedRegistry } from "../registry/files.ts";
import { type Holder, readHolders } from "../registry/holders.ts";
import type { RegistrySystem } from "../registry/system.ts";
import { jsonLine } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { formatMac } from "../wire/address.ts";
import { formatAddress } from "../wire/ipv6-address.ts";
import { Output } from "./output.ts";

export interface ListArguments {
  readonly json?: boolean;
}

/** Where it is read from. */
export interface HostSources {
  readonly registry: RegistrySystem;
  readonly runtimes: readonly Runtime[];
  readonly closed: readonly ClosedInterface[];
}

const HEADINGS = ["NAME", "MAC", "STATE", "INTERFACE", "ADDRESSES", "POLICY", "UPTIME", "DROPS", "NETWORK"];

/** Prints to `descriptor` (stdout); nothing where there is no VM and nothing is closed. Rejects with UserError. */
export async function list(sources: HostSources, { json }: ListArguments, descriptor: number): Promise<void> {
  const { registry, runtimes, closed } = sources;
  const vms = await readHostVms(findHostVms(registry, runtimes));
  const holders = readRegistry(() => readHolders(registry));
  const output = new Output(descriptor);
  const lines = json
    ? [...objects(vms, holders), ...closed.map(closedToJson)].map(jsonLine)
    : columns([HEADINGS, ...vms.map(toRow), ...endedRows(holders), ...closed.map(closedToRow)]);
  for (const line of lines) output.line(line);
  output.flush();
}

/** All VMs whose softnet runs. Throws UserError where the registry cannot be read. */
export function findHostVms(registry: RegistrySystem, runtimes: readonly Runtime[]): FoundVm[] {
  return readRegistry(() => findVms(registry, runtimes));
}

function readRegistry<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof UntrustedRegistry) {
      throw new UserError(`${error.message}, so it cannot be trusted: let root remove it`);
    }
    throw new UserError(`the registry cannot be read: ${(error as Error).message}`);
  }
}

/** One for each address, as the registry has them, then VMs that it does not know, or without an address. */
function objects(vms: readonly HostVm[], holders: readonly Holder[]): object[] {
  const listed = holders.map((holder) => {
    const vm = holder.state === "live" ? vms.find(({ found }) => isSame(found, holder)) : undefined;
    return { object: { ...holderToJson(holder), ...vmToJson(vm) }, vm };
  });
  const seen = new Set(listed.map(({ vm }) => vm));
  return [...listed.map(({ object }) => object), ...vms.filter((vm) => !seen.has(vm)).flatMap(unregistered)];
}

function isSame({ pid, mac, network }: FoundVm, holder: Holder): boolean {
  return pid === holder.pid && mac === formatMac(holder.mac) && network === holder.network;
}

/** Times in ISO 8601. */
function holderToJson({ address, mac, state, origin, expires, pid, control, network }: Holder): object {
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

/** A live VM that the registry has no address of: the addresses that its softnet says, or none. */
function unregistered(vm: HostVm): object[] {
  const { status = {}, found, mac, network } = vm;
  const bound = [status.binding, ...listOf(status.ipv6)].map(fieldsOf).filter(({ address }) => textOf(address));
  return (bound.length === 0 ? [{}] : bound).map((one: { address?: unknown; origin?: unknown; seconds?: unknown }) => {
    const seconds = numberOf(one.seconds);
    return {
      address: textOf(one.address) ?? null,
      mac: mac ?? null,
      state: "live",
      origin: textOf(one.origin) ?? null,
      expires: seconds === undefined ? null : endIn(seconds),
      pid: found.pid ?? null,
      control: found.control ?? null,
      network: network ?? null,
      ...vmToJson(vm),
    };
  });
}

/** Null for a number that is no time. */
function endIn(seconds: number): string | null {
  const end = new Date(Date.now() + seconds * 1000);
  return Number.isNaN(end.getTime()) ? null : end.toISOString();
}

function vmToJson(vm: HostVm | undefined): object {
  const { name, uptime, policy, drops } = vm ?? {};
  return {
    interface: vm?.interface ?? null,
    name: name ?? null,
    policy: policy ?? null,
    uptime: uptime ?? null,
    drops: drops ?? null,
  };
}

/** The same members as of a VM, and the interface. */
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
    ...vmToJson(undefined),
    interface: name,
  };
}

function toRow({
  name = "-",
  mac = "-",
  addresses,
  policy = "-",
  uptime,
  drops,
  network = "-",
  ...vm
}: HostVm): string[] {
  const up = uptime === undefined ? "-" : duration(uptime);
  const dropped = drops === undefined ? "-" : String(drops);
  return [name, mac, "live", vm.interface ?? "-", addressesText(addresses), policy, up, dropped, network];
}

/** A line for each VM whose softnet has ended. */
function endedRows(holders: readonly Holder[]): string[][] {
  const rows = new Map<string, { readonly holder: Holder; readonly addresses: string[] }>();
  for (const holder of holders) {
    if (holder.state === "live") continue;
    const key = `${holder.state} ${holder.network} ${holder.mac}`;
    const row = rows.get(key) ?? { holder, addresses: [] };
    row.addresses.push(formatAddress(holder.address));
    rows.set(key, row);
  }
  return [...rows.values()].map(({ holder: { mac, state, network }, addresses }) => {
    return ["-", formatMac(mac), state, "-", addressesText(addresses), "-", "-", "-", network];
  });
}

function addressesText(addresses: readonly string[]): string {
  return addresses.join(", ") || "-";
}

function closedToRow({ name, mac, bridge }: ClosedInterface): string[] {
  return ["-", mac, "closed", name, "-", "-", "-", "-", bridge === undefined ? "-" : `before on bridge ${bridge}`];
}
