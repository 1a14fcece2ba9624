/**
 * `--vm-net-type nat` and `host`: a network of the VM's own, with softnet's TAP as its only port and the host's kernel
 * as its gateway. A private /30 has room for the gateway and the VM, and for nobody to attack.
 *
 * The order is what keeps it closed: the host's helper (host/helper.ts) reserves the subnet, the TAP gets its address while
 * it is down, the helper adds the VM to its table and turns forwarding on for the TAP, and only then the TAP goes up.
 * Everything hangs on a process: the TAP on softnet, what the helper holds on the connection to it.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { noSubnet } from "../../host/choose.ts";
import { HostHelper } from "../../host/client.ts";
import { findBlocks, type RoutedPath, readFirewalls, routedPath } from "../../host/firewalls/firewalls.ts";
import { uplink6Of } from "../../host/host-ipv6.ts";
import { uplinkOf } from "../../host/host-state.ts";
import { parseSubnet, SUBNET_LENGTH } from "../../host/subnet.ts";
import { F_DUPFD_CLOEXEC, type LinuxLibc } from "../../native/linux/libc.ts";
import { changeLinks, type LinkChanges } from "../../native/linux/link-changes.ts";
import { LinkEvents } from "../../native/linux/link-events.ts";
import { Links } from "../../native/linux/links.ts";
import { type Cidr, formatCidr, netmaskOf, parseCidr, type Rule } from "../../policy/rule.ts";
import { TapPort } from "../../ports/tap.ts";
import { createTap, setHardwareAddress, type TapDevice } from "../../ports/tap-device.ts";
import { INGRESS } from "../../relay/direction.ts";
import { PortClosed } from "../../relay/port.ts";
import { findProgram } from "../../system-program.ts";
import { UserError } from "../../user-error.ts";
import { formatIPv4, formatMac, getMac, parseMac, putMac } from "../../wire/address.ts";
import { DhcpServer } from "../dhcp/server.ts";
import { ServingPort } from "../dhcp/serving-port.ts";
import { type Exposure, parseExposures } from "../exposures.ts";
import { DEFAULT_MTU, type HostWatch, type Network } from "../network.ts";
import { AdvertisingPort } from "./advertising-port.ts";
import { FailingPort } from "./failing-port.ts";
import { closeLink, setLink } from "./link-settings.ts";
import { checkMtu, NatIPv6, NO_IPV6_HERE } from "./nat-ipv6.ts";
import { Reach } from "./reach.ts";
import { reservePorts } from "./reserved-ports.ts";
import { ResolverWatch } from "./resolver-watch.ts";
import {
  findBothResolvers,
  findResolvers,
  formatResolvers,
  hostResolvers,
  hostResolvers6,
  readOrNothing,
} from "./resolvers.ts";

export interface NatOptions {
  readonly type: "nat" | "host";
  /** The VM's MAC address, as the user wrote it. */
  readonly vmMac: string;
  /** The rules in force at the start. */
  readonly rules: readonly Rule[];
  /** Whether they keep the VM apart from others. */
  readonly isolated: boolean;
  /** What `--subnet`, `--dns` and `--expose` said. */
  readonly subnet?: string;
  readonly dns?: string;
  readonly expose?: string;
  /** The subnet that this VM had before. */
  readonly earlier?: string;
  /** IPv6, too. */
  readonly ipv6?: boolean;
  /** The IPv6 prefix that this VM had before, `X:X:X:X::/64`. */
  readonly earlier6?: string;
  /** Connections that the VM may have at once. */
  readonly connections: number;
  /** Bytes. */
  readonly mtu: number;
  /** The number that the TAP shall have, where it matters. */
  readonly tapIndex?: number;
  /** The registry's folder. */
  readonly directory: string;
  /** Tells what the user should know. */
  readonly warn: (message: string) => void;
}

/** Seconds. Short enough that a guest soon follows what has changed on the host, a network of before or DNS servers. */
const LEASE_TIME = 3600;
const RENEWAL_TIME = 300;

/** Makes the network. Throws UserError; then nothing of it is left. */
export async function openNat(libc: LinuxLibc, options: NatOptions): Promise<Network> {
  const closing = new DisposableStack();
  try {
    return await open(libc, options, closing);
  } catch (error) {
    closing.dispose();
    throw error;
  }
}

async function open(libc: LinuxLibc, options: NatOptions, closing: DisposableStack): Promise<Network> {
  const { type, mtu, ipv6 = false } = options;
  if (ipv6) checkMtu(mtu);
  const plan = makePlan(options);
  if (options.subnet !== undefined && parseSubnet(options.subnet) === undefined) throw noSubnet(options.subnet);
  findProgram("nft", "nftables");
  for (const fd of reservePorts(libc, plan.exposures, ipv6)) closing.defer(() => libc.close(fd));
  const helper = closing.adopt(await HostHelper.connect(libc, options.directory), (one) => one.close());
  const { subnet, prefix6 } = await reserveSubnet(helper, plan, options);
  const gateway = subnet.address + 1;
  const vm = subnet.address + 2;

  const device = above(libc, createTap(libc, `--vm-net-type ${type}`, options.tapIndex), helper.owner);
  let port: { close(): void } = { close: () => libc.close(device.fd) };
  closing.defer(() => port.close());
  const mac = randomMac();
  const nat6 = prefix6 === undefined ? undefined : makeIPv6(helper, plan, options, { prefix: prefix6, routerMac: mac });
  closing.defer(() => nat6?.advertiser.close());
  prepare(libc, device, { gateway, mac, mtu, nat6 });
  const reach = new Reach(helper, plan, { gateway, address: vm }, nat6?.place);
  const host = watchHost(helper, nat6);
  host.said = await openOnHost({ libc, device, vm, helper, plan, reach, options, nat6 });

  const opened = openTapPort(libc, device, closing);
  const tap = nat6 === undefined ? opened : new AdvertisingPort(opened, nat6.advertiser);
  const server = makeServer(plan, { gateway, gatewayMac: mac, address: vm }, options);
  const failing = new FailingPort(new ServingPort(tap, server));
  port = failing;
  helper.onRefusal = (why) => failing.fail(why);
  if (type === "nat" && options.dns === undefined) closing.use(followResolvers({ plan, server, nat6, reach, host }));
  const name = `${type} ${formatCidr(subnet)}`;
  return {
    label: name,
    identity: name,
    port: failing,
    gateway: formatIPv4(gateway),
    gatewayMac: formatMac(mac),
    dhcpServer: formatIPv4(gateway),
    serves: true,
    subnet: formatCidr(subnet),
    isolated: options.isolated,
    mtu,
    exposedPorts: plan.exposures.map(({ internal }) => internal),
    host,
    ...nat6?.known,
    policyChanged: (rules) => reach.setRules(rules),
    close: () => {
      failing.close(); // the TAP first: nothing can pass from then on
      closing.dispose();
    },
  };
}

/** Has the helper reserve the VM's subnet, and says what of the host's network it hides. */
async function reserveSubnet(
  helper: HostHelper,
  plan: Plan,
  options: NatOptions,
): Promise<{ readonly subnet: Cidr; readonly prefix6: string | undefined }> {
  const { earlier, ipv6, earlier6 } = options;
  const reserved = await helper.reserve({
    avoid: plan.dnsServers,
    ...(options.subnet !== undefined && { chosen: options.subnet }),
    ...(earlier !== undefined && { preferred: earlier }),
    ...(ipv6 && { ipv6 }),
    ...(ipv6 && earlier6 !== undefined && { preferred6: earlier6 }),
  });
  const subnet = parseCidr(reserved.subnet ?? "");
  if (subnet === undefined) throw new UserError("the host's helper is of another version: end all softnets first");
  if (reserved.inside !== undefined) options.warn(overlapText(reserved.subnet!, reserved.inside, options.subnet));
  if (ipv6 && reserved.prefix6 === undefined) options.warn(NO_IPV6_HERE);
  return { subnet, prefix6: reserved.prefix6 };
}

interface HostParts {
  readonly libc: LinuxLibc;
  readonly device: TapDevice;
  readonly vm: number;
  readonly helper: HostHelper;
  readonly plan: Plan;
  readonly reach: Reach;
  readonly options: NatOptions;
  readonly nat6: NatIPv6 | undefined;
}

/**
 * Adds the VM to the host's table, and only then lets its TAP up. Returns what other firewalls drop without which the VM can
 * do. Throws UserError.
 */
async function openOnHost(parts: HostParts): Promise<readonly string[]> {
  const { libc, device, vm, helper, plan, reach, options, nat6 } = parts;
  let dropped: readonly string[] = [];
  const nat = options.type === "nat";
  const exposed = plan.exposures.length > 0;
  if (nat) {
    const uplinks = { ipv4: uplinkOf(libc), ipv6: nat6 && uplink6Of(libc) };
    const path = routedPath(device.name, { address: vm, prefix: nat6?.prefix, exposed }, uplinks);
    dropped = await checkFirewalls(libc, path, options.warn, nat6);
  }
  if (exposed) setLink(device.name, "route_localnet", "1");
  await helper.open({
    tap: device.name,
    nat,
    connections: options.connections,
    exposures: plan.exposures.map(({ external, internal }) => [external, internal] as const),
    ...reach.compute(),
  });
  changeTap(libc, (links) => links.up(libc.if_nametoindex(device.name)));
  return dropped;
}

function openTapPort(libc: LinuxLibc, device: TapDevice, closing: DisposableStack): TapPort {
  const links = closing.adopt(new Links(libc), (one) => one.close());
  const label = `TAP ${device.name}`;
  const index = libc.if_nametoindex(device.name);
  const inspect = (): void => {
    if (links.byIndex(index) === undefined) throw new PortClosed(label, "the TAP was deleted");
  };
  return new TapPort(libc, label, device, INGRESS, inspect, LinkEvents.open(libc, index));
}

function makeServer(
  plan: Plan,
  place: { readonly gateway: number; readonly gatewayMac: number; readonly address: number },
  { type, mtu }: NatOptions,
): DhcpServer {
  return new DhcpServer({
    ...place,
    netmask: netmaskOf(SUBNET_LENGTH),
    router: type === "nat",
    dnsServers: plan.dnsServers,
    leaseTime: LEASE_TIME,
    renewalTime: RENEWAL_TIME,
    vmMac: plan.vmMac,
    ...(mtu < DEFAULT_MTU && { mtu }),
  });
}

interface ResolverFollowers {
  readonly plan: Plan;
  readonly server: DhcpServer;
  readonly nat6: NatIPv6 | undefined;
  readonly reach: Reach;
  readonly host: HostWatch;
}

/** Where the user chose no DNS servers, the VM follows the host's. */
function followResolvers({ plan, server, nat6, reach, host }: ResolverFollowers): Disposable {
  const find = (): readonly (number | bigint)[] => {
    const ipv4 = hostResolvers(readOrNothing);
    return nat6 === undefined ? ipv4 : [...ipv4, ...hostResolvers6(readOrNothing)];
  };
  const onChange = (servers: readonly (number | bigint)[]): void => {
    const ipv4 = servers.filter((one) => typeof one === "number");
    const ipv6 = servers.filter((one) => typeof one === "bigint");
    server.dnsServers = ipv4;
    if (nat6 !== undefined) nat6.advertiser.dnsServers = ipv6;
    reach.setDnsServers(ipv4, ipv6);
    host.onEvent(`this host has other DNS servers: the VM learns ${formatResolvers(servers)} when it renews its lease`);
  };
  const watch = new ResolverWatch([...plan.dnsServers, ...plan.dnsServers6], onChange, find);
  return { [Symbol.dispose]: () => watch.close() };
}

/**
 * Throws UserError where another firewall drops the VM's IPv4 for sure. Where it is IPv6 alone, the VM goes without that; returns
 * what to tell of it.
 */
async function checkFirewalls(
  libc: LinuxLibc,
  path: RoutedPath,
  warn: (message: string) => void,
  nat6: NatIPv6 | undefined,
): Promise<readonly string[]> {
  const firewalls = await readFirewalls(libc);
  const blocks = findBlocks(firewalls, path);
  const texts = blocks.map(({ text }) => text);
  if (blocks.some(({ ipv4 }) => ipv4)) throw new UserError(texts.join("; and "));
  if (blocks.some(({ ipv6 }) => ipv6)) nat6?.close();
  if (firewalls.unseen) {
    warn("this host has rules of iptables-legacy, which cannot be read: if they drop forwarded traffic, so the VM's");
  }
  return texts;
}

/** What the helper says of the host; and what becomes of the VM when the helper is lost. */
function watchHost(helper: HostHelper, nat6: NatIPv6 | undefined): HostWatch & { said: readonly string[] } {
  let lost: readonly string[] = [];
  const watch = {
    said: [] as readonly string[],
    get notices(): readonly string[] {
      return [...lost, ...(nat6?.notices ?? []), ...watch.said];
    },
    onNotices: (_notices: readonly string[]): void => {},
    onEvent: (_event: string): void => {},
  };
  helper.onNotices = (notices) => {
    watch.said = notices;
    watch.onNotices(watch.notices);
  };
  helper.onEvent = (event) => watch.onEvent(event);
  helper.onRoute6 = (route) => {
    const text = nat6?.follow(route);
    if (text !== undefined) watch.onEvent(text);
    watch.onNotices(watch.notices);
  };
  helper.onLost = (why) => {
    lost = [
      `${why}: the VM's rules on the host stand as they are, but a change of policy will end softnet; start softnet again when it suits`,
    ];
    watch.onNotices(watch.notices);
  };
  return watch;
}

/** The TAP's descriptor with a higher number than `owner`, so that it is between the two copies of that one. */
function above(libc: LinuxLibc, device: TapDevice, owner: number): TapDevice {
  if (device.fd > owner) return device;
  const fd = libc.fcntl(device.fd, F_DUPFD_CLOEXEC, "int", owner + 1);
  libc.close(device.fd);
  if (fd < 0) throw new UserError("too few descriptors for the VM's TAP; raise the limit (ulimit -n)");
  return { ...device, fd };
}

function overlapText(subnet: string, inside: string, chosen: string | undefined): string {
  const why = chosen === undefined ? "everything else is taken" : "as --subnet says";
  return `the VM's network ${subnet} lies inside the route ${inside} (${why}): what is there behind that route cannot be reached; --subnet chooses another`;
}

/** What the options mean, before anything is made. */
interface Plan {
  readonly vmMac: number;
  readonly rules: readonly Rule[];
  readonly dnsServers: readonly number[];
  readonly dnsServers6: readonly bigint[];
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
    rules: options.rules,
    ...resolversOf(options),
    exposures: parseExposures(expose ?? ""),
  };
}

function resolversOf({ type, dns, ipv6 }: NatOptions): Pick<Plan, "dnsServers" | "dnsServers6"> {
  if (type === "host") return { dnsServers: [], dnsServers6: [] };
  if (!ipv6) return { dnsServers: findResolvers(dns), dnsServers6: [] };
  const servers = findBothResolvers(dns);
  return { dnsServers: servers.ipv4, dnsServers6: servers.ipv6 };
}

function makeIPv6(
  helper: HostHelper,
  { vmMac, dnsServers6 }: Plan,
  { type, mtu }: NatOptions,
  place: { readonly prefix: string; readonly routerMac: number },
): NatIPv6 {
  return new NatIPv6(helper, { ...place, vmMac, mtu, routes: type === "nat", dnsServers: dnsServers6 });
}

function randomMac(): number {
  const mac = randomBytes(6);
  mac[0] = 0x02; // locally administered, for one card
  return getMac(mac, 0);
}

interface TapParts {
  readonly gateway: number;
  readonly mac: number;
  readonly mtu: number;
  readonly nat6: NatIPv6 | undefined;
}

/** Sets the TAP up, but not yet up. */
function prepare(libc: LinuxLibc, device: TapDevice, { gateway, mac, mtu, nat6 }: TapParts): void {
  const bytes = new Uint8Array(6);
  putMac(bytes, 0, mac);
  setHardwareAddress(libc, device, bytes);
  const { name } = device;
  const index = libc.if_nametoindex(name);
  changeTap(libc, (links) => {
    if (existsSync("/proc/sys/net/ipv6")) links.withoutIPv6Address(index);
    links.setMtu(index, mtu);
    links.addAddress(index, gateway, SUBNET_LENGTH);
  });
  closeLink(name, nat6 !== undefined);
  if (nat6 !== undefined) changeTap(libc, (links) => nat6.addAddresses(links, index));
}

function changeTap(libc: LinuxLibc, changes: (links: LinkChanges) => void): void {
  try {
    changeLinks(libc, changes);
  } catch (error) {
    throw new UserError(`the VM's TAP cannot be set up: ${(error as Error).message}; run softnet as root`);
  }
}
