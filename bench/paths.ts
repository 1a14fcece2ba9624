/**
 * Ways from a guest to a server, each with a host of its own (test/lab/harness/topology.ts), so that no path pays for
 * the rules and the connection tracking of another. Guest, host and server are network namespaces.
 *
 * Where a path is asked for plain links, they carry frames of 1,514 bytes at most, with their checksums, everywhere: the
 * offloads of the virtual cables and of the TAPs are turned off. Else links have what the kernel gives them.
 */
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { makeCard } from "../test/lab/harness/attached.ts";
import { Guest, ping } from "../test/lab/harness/guest.ts";
import { addIpv6, INTERNET6, PREFIX } from "../test/lab/harness/ipv6.ts";
import type { Namespace } from "../test/lab/harness/netns.ts";
import { type Program, until } from "../test/lab/harness/program.ts";
import { BRIDGE, GATEWAY, INTERNET, Lab } from "../test/lab/harness/topology.ts";
import { PUBLISHED } from "./processes.ts";

const MAC = "02:00:00:00:00:11";
const LINK = "vm0";
/** The TAP on the bridge of a program that looks at nothing. */
const FLOOR = "floor0";
/** On the bridge. */
const ADDRESS = "10.77.0.5";
const ADDRESS6 = `${PREFIX}5`;

/** The programs in bench/native that a path needs. */
export interface Helpers {
  readonly cable: string;
  readonly plain: string;
}

export interface PathOptions {
  /** No link carries large frames. */
  readonly plain: boolean;
  /** More options for softnet. */
  readonly args?: readonly string[];
  /** What the path is called; its own name where it is left out. */
  readonly name?: string;
}

export interface Path {
  readonly name: string;
  readonly lab: Lab;
  readonly guest: Namespace;
  /** The server's address, where it is another than INTERNET. */
  readonly server?: string;
  /** Through which the frames go; none where the kernel alone forwards. */
  readonly forwarders: readonly Program[];
}

/** softnet with a private network for the VM. */
export async function natPath(helpers: Helpers, options: PathOptions): Promise<Path> {
  const lab = await openLab(helpers, options);
  const args = ["--vm-net-type", "nat", "--subnet", "10.99.0.4/30", "--vm-ip-address", "10.99.0.6", "--dns", INTERNET];
  const { guest, softnet } = await behindSoftnet(lab, helpers, args, options);
  setAddress(guest, "10.99.0.6/30", "10.99.0.5");
  return { name: options.name ?? "softnet --vm-net-type nat", lab, guest, forwarders: [softnet] };
}

/** softnet on a bridge whose host routes. */
export async function bridgePath(helpers: Helpers, options: PathOptions): Promise<Path> {
  const lab = await openLab(helpers, options);
  const args = ["--bridge", BRIDGE, "--vm-ip-address", ADDRESS, "--gateway", GATEWAY];
  const { guest, softnet } = await behindSoftnet(lab, helpers, args, options);
  setAddress(guest, `${ADDRESS}/24`, GATEWAY);
  return { name: options.name ?? "softnet --bridge", lab, guest, forwarders: [softnet] };
}

/** The same for IPv6, which large frames are of. */
export async function bridgePath6(helpers: Helpers, options: PathOptions): Promise<Path> {
  const lab = await openLab(helpers, options);
  addIpv6(lab);
  const args = ["--bridge", BRIDGE, "--ipv6", "--vm-ip-address", `${ADDRESS},${ADDRESS6}`, "--gateway", GATEWAY];
  const { guest, softnet } = await behindSoftnet(lab, helpers, args, options);
  await setAddress6(guest);
  return { name: options.name ?? "softnet --bridge --ipv6", lab, guest, server: INTERNET6, forwarders: [softnet] };
}

/** Nothing but the kernel, by IPv6. */
export async function unfilteredPath6(helpers: Helpers, options: PathOptions): Promise<Path> {
  const path = await unfilteredPath(helpers, options);
  addIpv6(path.lab);
  await setAddress6(path.guest);
  return { ...path, server: INTERNET6 };
}

/**
 * Nothing but the kernel, with the rules that libvirt's nwfilter sets against spoofing, as nftables has them on a bridge: the
 * port's frames have its MAC address and its IPv4 address.
 */
export async function filteredPath(helpers: Helpers, options: PathOptions): Promise<Path> {
  const path = await unfilteredPath(helpers, options);
  const port = path.lab.host.links().find((name) => name.startsWith("port"));
  const rules = [
    "add table bridge softnet_bench",
    "add chain bridge softnet_bench from_vm { type filter hook prerouting priority -300; policy accept; }",
    `add rule bridge softnet_bench from_vm iifname ${port} ether saddr != ${MAC} drop`,
    `add rule bridge softnet_bench from_vm iifname ${port} ether type arp arp saddr ether != ${MAC} drop`,
    `add rule bridge softnet_bench from_vm iifname ${port} ether type arp arp saddr ip != ${ADDRESS} drop`,
    `add rule bridge softnet_bench from_vm iifname ${port} ether type ip ip saddr != ${ADDRESS} drop`,
    `add rule bridge softnet_bench from_vm iifname ${port} ether type ip6 drop`,
    `add rule bridge softnet_bench from_vm iifname ${port} vlan type { ip, arp, ip6 } drop`,
  ];
  for (const rule of rules) {
    const { code, stderr } = await path.lab.host.run("nft", [rule]);
    if (code !== 0) throw new Error(`nft ${rule}: ${stderr}`);
  }
  return { ...path, name: "nftables on the bridge" };
}

/** softnet attached to the host's end of a veth that was on that bridge. */
export async function attachedPath(helpers: Helpers, options: PathOptions): Promise<Path> {
  const lab = await openLab(helpers, options);
  const { guest, softnet } = await attached(lab, helpers, ["--vm-ip-address", ADDRESS], options);
  setAddress(guest, `${ADDRESS}/24`, GATEWAY);
  return { name: "softnet attach, bridge", lab, guest, forwarders: [softnet] };
}

/** The same for IPv6. */
export async function attachedPath6(helpers: Helpers, options: PathOptions): Promise<Path> {
  const lab = await openLab(helpers, options);
  addIpv6(lab);
  const args = ["--ipv6", "--vm-ip-address", `${ADDRESS},${ADDRESS6}`];
  const { guest, softnet } = await attached(lab, helpers, args, options);
  await setAddress6(guest);
  return { name: "softnet attach --ipv6, bridge", lab, guest, server: INTERNET6, forwarders: [softnet] };
}

/** The floor: a C program between the guest's TAP and one on the bridge, which looks at nothing. */
export async function floorPath(
  { plain, taps: program }: { readonly plain: string; readonly taps: string },
  options: PathOptions,
): Promise<Path> {
  const lab = await openLab({ plain }, options);
  const taps = lab.start(lab.host, program, [LINK, FLOOR]);
  await taps.line(/^ready$/);
  lab.host.ip("link", "set", FLOOR, "master", BRIDGE);
  lab.host.ip("link", "set", FLOOR, "up");
  const guest = lab.namespace("guest");
  lab.host.ip("link", "set", LINK, "netns", guest.name);
  guest.ip("link", "set", LINK, "address", MAC);
  guest.ip("link", "set", LINK, "up");
  if (options.plain) {
    await makePlain(plain, guest, [LINK]);
    await makePlain(plain, lab.host, [FLOOR]);
  }
  setAddress(guest, `${ADDRESS}/24`, GATEWAY);
  return { name: "the floor", lab, guest, forwarders: [taps] };
}

/** passt, and the cable between its socket and the guest's TAP. */
export async function passtPath({ cable: program, plain }: Helpers, options: PathOptions): Promise<Path> {
  const lab = await openLab({ plain }, options);
  chmodSync(lab.directory, 0o777); // passt gives up being root first
  const socket = join(lab.directory, "passt.sock");
  const addresses = ["-4", "-a", "10.0.2.15", "-n", "24", "-g", "10.0.2.2", "-D", INTERNET];
  const passt = lab.start(lab.host, "passt", ["-f", "-e", "-s", socket, "-m", "1500", ...addresses]);
  await passt.line(/UNIX domain socket bound/);
  const guest = lab.namespace("guest");
  const cable = lab.start(guest, program, [LINK, socket]);
  await cable.line(/^ready$/);
  guest.ip("link", "set", LINK, "up");
  setAddress(guest, "10.0.2.15/24", "10.0.2.2");
  return { name: "passt, and its cable", lab, guest, forwarders: [passt, cable] };
}

/** Nothing but the kernel: the guest's virtual cable is a port of the bridge, and the host routes. */
export async function unfilteredPath({ plain }: Helpers, options: PathOptions): Promise<Path> {
  const lab = await openLab({ plain }, options);
  const { namespace } = await Guest.create(lab, { bare: true, link: LINK, mac: MAC, address: `${ADDRESS}/24` });
  const port = lab.host.links().find((name) => name.startsWith("port"));
  if (options.plain) {
    await makePlain(plain, namespace, [LINK]);
    await makePlain(plain, lab.host, [port!]);
  }
  return { name: "unfiltered", lab, guest: namespace, forwarders: [] };
}

async function openLab({ plain }: Pick<Helpers, "plain">, options: PathOptions): Promise<Lab> {
  const lab = new Lab();
  if (!options.plain) return lab;
  await makePlain(plain, lab.host, ["up0"]);
  await makePlain(plain, lab.internet, ["up0"]);
  return lab;
}

async function behindSoftnet(
  lab: Lab,
  { plain }: Pick<Helpers, "plain">,
  args: readonly string[],
  options: PathOptions,
): Promise<{ guest: Namespace; softnet: Program }> {
  const all = [PUBLISHED, "--vm-tap", LINK, "--vm-mac-address", MAC, ...args, ...(options.args ?? [])];
  const softnet = lab.start(lab.host, process.execPath, all, { label: "softnet" });
  await softnet.line(/started/);
  const guest = lab.namespace("guest");
  lab.host.ip("link", "set", LINK, "netns", guest.name);
  guest.ip("link", "set", LINK, "up");
  if (options.plain) {
    await makePlain(plain, guest, [LINK]);
    const taps = lab.host.links().filter((name) => name.startsWith("softnet"));
    await makePlain(plain, lab.host, taps);
  }
  return { guest, softnet };
}

async function attached(
  lab: Lab,
  { plain }: Pick<Helpers, "plain">,
  args: readonly string[],
  options: PathOptions,
): Promise<{ guest: Namespace; softnet: Program }> {
  const guest = lab.namespace("guest");
  const port = await makeCard(lab, "veth", { namespace: guest, link: LINK, mac: MAC, bridged: true });
  if (options.plain) {
    await makePlain(plain, guest, [LINK]);
    await makePlain(plain, lab.host, [port]);
  }
  guest.ip("link", "set", LINK, "up");
  const fixed = [PUBLISHED, "attach", port, "--vm-mac-address", MAC, "--gateway", GATEWAY];
  const all = [...fixed, ...args, ...(options.args ?? [])];
  const softnet = lab.start(lab.host, process.execPath, all, { label: "softnet" });
  await softnet.line(/started/);
  return { guest, softnet };
}

function setAddress(guest: Namespace, address: string, gateway: string): void {
  guest.ip("address", "replace", address, "dev", LINK);
  guest.ip("route", "replace", "default", "via", gateway);
}

async function setAddress6(guest: Namespace): Promise<void> {
  guest.ipBatch([`address replace ${ADDRESS6}/64 dev ${LINK} nodad`, `route replace default via ${PREFIX}1`]);
  await until("the guest reaches the server", () => ping(guest, INTERNET6, 1));
}

async function makePlain(program: string, namespace: Namespace, links: readonly string[]): Promise<void> {
  const { code, stderr } = await namespace.run(program, links);
  if (code !== 0) throw new Error(`the offloads of ${links.join(", ")} cannot be turned off: ${stderr}`);
}
