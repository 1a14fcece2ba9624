/**
 * `--vm-net-type nat` and `host`: a network of the VM's own, with softnet's TAP as its only port and the host's kernel
 * as its gateway. A private /30 has room for the gateway and the VM, and for nobody to attack.
 *
 * The order is what keeps it closed: the subnet is reserved, the TAP gets its address while it is down, the rules are
 * made and stand, forwarding is turned on, and only then the TAP goes up. Everything that was made hangs on a process:
 * reservations and TAP on softnet, rules and the switching off of forwarding on two keepers, one for each table.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Keeper, type KeeperOptions } from "../../keeper/keeper.ts";
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { Links } from "../../native/linux/links.ts";
import { allowsEverything, formatCidr, netmaskOf, parseRules, type Rule } from "../../policy/rule.ts";
import { TapPort } from "../../ports/tap.ts";
import { createTap, setHardwareAddress, type TapDevice } from "../../ports/tap-device.ts";
import { PortClosed } from "../../relay/port.ts";
import { UserError } from "../../user-error.ts";
import { formatIPv4, formatMac, getMac, parseMac } from "../../wire/address.ts";
import { DhcpServer } from "../dhcp/server.ts";
import { ServingPort } from "../dhcp/serving-port.ts";
import { findIp, ipBatch } from "../iproute2.ts";
import type { Network } from "../network.ts";
import { findProgram } from "../system-program.ts";
import { chooseSubnet, type Reserved } from "./choose.ts";
import { type Exposure, parseExposures } from "./expose.ts";
import { reservePorts } from "./exposed-ports.ts";
import { refuseDroppingChains, tellLegacy } from "./firewalls.ts";
import { disableIpv6, needForwarding, setLink, turnForwardingOn } from "./forwarding.ts";
import { gateRulesOf } from "./gate.ts";
import { readHostState, uplinkOf } from "./host-state.ts";
import { KeptPort } from "./kept-port.ts";
import { type Reach, reachOf } from "./reach.ts";
import { findResolvers } from "./resolvers.ts";
import { gateName, rulesOf, tableName } from "./rules.ts";
import { readChains } from "./ruleset.ts";
import { GATE_SETS, TABLE_SETS, wordsOf } from "./sets.ts";
import { SUBNET_LENGTH } from "./subnet.ts";

export interface NatOptions {
  readonly type: "nat" | "host";
  /** The VM's MAC address, as the user wrote it. */
  readonly vmMac: string;
  readonly allow: readonly string[];
  readonly block: readonly string[];
  /** What `--subnet`, `--dns` and `--expose` said. */
  readonly subnet?: string;
  readonly dns?: string;
  readonly expose?: string;
  /** Bytes. */
  readonly mtu: number;
  /** Whom the keepers become, where softnet has root's rights: never root. */
  readonly keeper: { readonly uid: number; readonly gid: number };
  /** Tells what the user should know. */
  readonly warn: (message: string) => void;
}

/** Milliseconds for another softnet's table of the same name to go: it had this TAP's name until just now. */
const PATIENCE = 5_000;

/** What is open so far, and closed again in the opposite order. */
class Undo {
  readonly #actions: (() => void)[] = [];

  add(action: () => void): void {
    this.#actions.push(action);
  }

  run(): void {
    for (const action of this.#actions.splice(0).reverse()) action();
  }
}

/** Makes the network. Throws UserError; then nothing of it is left. */
export async function openNat(libc: LinuxLibc, options: NatOptions): Promise<Network> {
  const undo = new Undo();
  try {
    return await open(libc, options, undo);
  } catch (error) {
    undo.run();
    throw error;
  }
}

async function open(libc: LinuxLibc, options: NatOptions, undo: Undo): Promise<Network> {
  const { type, mtu } = options;
  const plan = makePlan(options);
  const ip = findIp();
  const nft = findProgram("nft", "nftables");
  const setpriv = findProgram("setpriv", "util-linux");
  for (const fd of reservePorts(libc, plan.exposures)) undo.add(() => libc.close(fd));

  const reserved = chooseSubnet(libc, readHostState(ip), options.subnet, plan.dnsServers);
  undo.add(() => libc.close(reserved.lock));
  tellOverlap(reserved, options);
  const addresses = { gateway: reserved.subnet.address + 1, vm: reserved.subnet.address + 2 };

  const device = createTap(libc, `--vm-net-type ${type}`);
  let port: { close(): void } = { close: () => libc.close(device.fd) };
  undo.add(() => port.close());
  const mac = prepare(libc, ip, device, { address: `${formatIPv4(addresses.gateway)}/${SUBNET_LENGTH}`, mtu });

  const nat = type === "nat";
  const before = readChains(nft);
  if (nat) {
    const exposed = plan.exposures.length > 0;
    refuseDroppingChains(nft, before, { tap: device.name, vm: addresses.vm, uplink: uplinkOf(ip), exposed });
    tellLegacy(options.warn);
  }
  if (plan.exposures.length > 0) setLink(device.name, "route_localnet", "1");
  const redirectsBefore = nat ? needForwarding(device.name, before, () => readChains(nft)) : undefined;
  const { gateway, vm } = addresses;
  const surroundings = { gateway, address: vm, netmask: netmaskOf(SUBNET_LENGTH), dnsServers: plan.dnsServers };
  const reach = reachOf(plan.rules, surroundings);
  const forwarding = redirectsBefore === undefined ? {} : { redirectsBefore };
  const wanted = { tap: device.name, vm, gateway, nat, reach, exposures: plan.exposures, ...forwarding };
  const how = { setpriv, nft, ...options.keeper, tap: device.name };
  const [keeper, gate] = await keepBoth(
    { ...how, table: `inet ${tableName(device.name)}`, sets: TABLE_SETS, rules: rulesOf(wanted), ...forwarding },
    { ...how, table: `inet ${gateName(device.name)}`, sets: GATE_SETS, rules: gateRulesOf(wanted) },
  );
  undo.add(() => {
    keeper.close();
    gate.close();
  });
  if (nat) turnForwardingOn();
  fail(ipBatch(ip, [`link set dev ${device.name} up`]));

  const links = new Links(libc);
  undo.add(() => links.close());
  const label = `TAP ${device.name}`;
  const index = libc.if_nametoindex(device.name);
  const tap = new TapPort(libc, label, device, () => {
    if (links.byIndex(index) === undefined) throw new PortClosed(label, "the TAP was deleted");
  });
  const server = new DhcpServer({
    gateway,
    gatewayMac: mac,
    address: vm,
    netmask: netmaskOf(SUBNET_LENGTH),
    router: nat,
    dnsServers: plan.dnsServers,
    vmMac: plan.vmMac,
    ...(mtu < 1500 && { mtu }),
  });
  const kept = new KeptPort(new ServingPort(tap, server));
  port = kept;
  for (const each of [keeper, gate]) {
    each.onEnd = (why) => kept.fail(`its rules cannot be kept up: ${why}`);
    if (each.ended) throw new UserError("the keeper of the VM's rules ended at once; start softnet again");
  }
  const name = `${type} ${formatCidr(reserved.subnet)}`;
  return {
    label: name,
    identity: name,
    port: kept,
    gateway: formatIPv4(gateway),
    gatewayMac: formatMac(mac),
    dhcpServer: formatIPv4(gateway),
    serves: true,
    subnet: formatCidr(reserved.subnet),
    isolated: !allowsEverything(plan.rules),
    mtu,
    exposedPorts: plan.exposures.map(({ internal }) => internal),
    policyChanged: (rules) => {
      let reach: Reach | undefined;
      const reachNow = (): Reach => (reach ??= reachOf(rules, surroundings));
      keeper.change(() => wordsOf(TABLE_SETS, reachNow()));
      gate.change(() => wordsOf(GATE_SETS, reachNow()));
    },
    close: () => closeInOrder(kept, undo),
  };
}

/** The TAP first: nothing can pass from then on. */
function closeInOrder(port: KeptPort, undo: Undo): void {
  port.close();
  undo.run();
}

/** What the options mean, before anything is made. */
interface Plan {
  readonly vmMac: number;
  readonly rules: readonly Rule[];
  readonly dnsServers: readonly number[];
  readonly exposures: readonly Exposure[];
}

function makePlan(options: NatOptions): Plan {
  const { type, dns, expose } = options;
  if (type === "host") {
    if (dns !== undefined)
      throw new UserError("--dns has no use with --vm-net-type host: no DNS server can be reached");
    if (expose !== undefined) throw new UserError("--expose has no use with --vm-net-type host: nothing is forwarded");
  }
  return {
    vmMac: parseMac(options.vmMac) ?? 0,
    rules: parseRules(options.allow, options.block),
    dnsServers: type === "nat" ? findResolvers(dns) : [],
    exposures: parseExposures(expose ?? ""),
  };
}

function tellOverlap({ subnet, inside }: Reserved, { subnet: chosen, warn }: NatOptions): void {
  if (inside === undefined) return;
  const why = chosen === undefined ? "everything else is taken" : "as --subnet says";
  warn(
    `the VM's network ${formatCidr(subnet)} lies inside the route ${formatCidr(inside)} (${why}): what is there behind that route cannot be reached; --subnet chooses another`,
  );
}

/** Sets the TAP up, but not yet up; answers its MAC address. */
function prepare(
  libc: LinuxLibc,
  ip: string,
  device: TapDevice,
  { address, mtu }: { readonly address: string; readonly mtu: number },
): number {
  const mac = randomBytes(6);
  mac[0] = 0x02; // locally administered, for one card
  setHardwareAddress(libc, device, mac);
  const { name } = device;
  const commands = [`link set dev ${name} mtu ${mtu}`, `address add ${address} dev ${name}`];
  if (existsSync("/proc/sys/net/ipv6")) commands.unshift(`link set dev ${name} addrgenmode none`);
  fail(ipBatch(ip, commands));
  disableIpv6(name);
  // The VM sees nothing of the host's other addresses, and only its own address comes from it, whatever the host's
  // defaults are.
  for (const [setting, value] of LINK_SETTINGS) setLink(name, setting, value);
  return getMac(mac, 0);
}

/** kernel documentation, networking/ip-sysctl. */
const LINK_SETTINGS = [
  ["accept_redirects", "0"],
  ["accept_source_route", "0"],
  ["arp_ignore", "1"],
  ["proxy_arp", "0"],
  ["rp_filter", "1"],
  ["send_redirects", "0"],
] as const;

function fail(error: string | undefined): void {
  if (error !== undefined) throw new UserError(`the VM's TAP cannot be set up: ${error}; run softnet as root`);
}

/** Starts the keepers of both tables at once. Throws UserError; then neither runs. */
async function keepBoth(...both: readonly [KeeperOptions, KeeperOptions]): Promise<[Keeper, Keeper]> {
  const [first, second] = await Promise.allSettled([keep(both[0]), keep(both[1])]);
  if (first.status === "fulfilled" && second.status === "fulfilled") return [first.value, second.value];
  if (first.status === "fulfilled") first.value.close();
  if (second.status === "fulfilled") second.value.close();
  throw [first, second].flatMap((one) => (one.status === "rejected" ? [one.reason] : []))[0];
}

/** Starts a keeper; again for a while, when a table of this name is still there. */
async function keep(options: KeeperOptions): Promise<Keeper> {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    try {
      return await Keeper.start(options);
    } catch (error) {
      const mayPass = error instanceof UserError && /File exists|Operation not permitted|busy/i.test(error.message);
      if (!mayPass || performance.now() > deadline) throw error;
      await sleep(50);
    }
  }
}
