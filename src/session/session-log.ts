/** What the log says of a session as it starts, waits and stops. */
import type { Guard } from "../guard/guard.ts";
import type { Network } from "../networks/network.ts";
import { policyAdvice } from "../policy/advice.ts";
import { ListeningPort } from "../ports/listening.ts";
import type { Snapshot } from "../relay/counters.ts";
import type { FramePort } from "../relay/port.ts";
import type { Log } from "../telemetry/log.ts";
import { version } from "../version.ts";
import type { SessionArguments } from "./options.ts";
import { vmAddresses } from "./vm-addresses.ts";

export interface Started {
  readonly log: Log;
  readonly given: SessionArguments;
  readonly vm: FramePort;
  readonly network: Network;
  readonly guard: Guard;
  /** What this process may do now, for people. */
  readonly privileges: string;
}

export function logStart({ log, given, vm, network, guard, privileges }: Started): void {
  const fixed = vmAddresses(given);
  log.info("started", {
    version: version(),
    vm: vm.label,
    mac: given.vmMacAddress ?? "",
    network: network.label,
    port: network.port.label,
    isolated: network.isolated,
    mtu: given.mtu ?? network.mtu,
    rules: guard.rules.length,
    gateway: given.gateway ?? network.gateway ?? "by DHCP",
    "dhcp-server": given.dhcpServer ?? network.dhcpServer ?? "any",
    address: fixed.ipv4 ?? "by DHCP",
    ...(given.ipv6 && {
      router6: given.router6 ?? network.router6 ?? "by advertisement",
      ...(network.prefix6 !== undefined && { prefix6: network.prefix6 }),
      address6: fixed.ipv6 ?? (network.prefix6 === undefined ? "by SLAAC or DHCPv6" : "by SLAAC"),
    }),
    privileges,
  });
  for (const advice of policyAdvice(guard.rules, guard.gateway, given.ipv6 ?? false)) {
    if (advice !== undefined) log.warn(advice);
  }
}

/** Logs what is wrong on the host, now and whenever it changes. */
export function logHostNotices(log: Log, { host }: Network): void {
  if (host === undefined) return;
  let before: readonly string[] = [];
  host.onEvent = (event) => log.warn(event);
  host.onNotices = (notices) => {
    for (const notice of notices) if (!before.includes(notice)) log.warn(notice);
    for (const notice of before) if (!notices.includes(notice)) log.info("over", { notice });
    before = notices;
  };
  host.onNotices(host.notices);
}

/** The VM connects in its own time; until then the relay runs without it. */
export function logWaiting(log: Log, vm: ListeningPort, onStatus: (status: string) => void): void {
  vm.onConnect = () => {
    log.info("VM connected", { path: vm.path });
    onStatus(`the VM has connected to ${vm.path}`);
  };
  vm.onLeave = (why) => {
    log.info("VM has gone, waiting for it", { path: vm.path, why });
    onStatus(`waiting for the VM at ${vm.path}`);
  };
  log.info("waiting for the VM", { path: vm.path });
}

/** For a service manager's users. */
export function statusOf(vm: FramePort, network: Network): string {
  const what = vm instanceof ListeningPort ? `waits for the VM at ${vm.path}` : `filters ${vm.label}`;
  return `${what}, on ${network.label}`;
}

export function logSummary(log: Log, { egress, ingress }: Snapshot, seconds: number): void {
  const drops: Record<string, number> = {};
  for (const counts of [egress.drops, ingress.drops]) {
    for (const [name, count] of Object.entries(counts)) drops[name] = (drops[name] ?? 0) + count;
  }
  log.info("summary", {
    seconds: Math.round(seconds * 10) / 10,
    "egress-frames": egress.frames,
    "egress-bytes": egress.bytes,
    "ingress-frames": ingress.frames,
    "ingress-bytes": ingress.bytes,
    large: egress.large + ingress.large,
    undelivered: egress.undelivered + ingress.undelivered,
    unsendable: egress.unsendable + ingress.unsendable,
    ...drops,
  });
}
