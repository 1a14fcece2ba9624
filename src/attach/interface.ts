/**
 * Which interfaces softnet may be attached to: those whose other end is one VM or container, a TAP that a hypervisor holds
 * or the host's end of a veth, and which the host does not need for itself.
 */
import { readFileSync } from "node:fs";
import { addressesOf } from "../native/linux/addresses.ts";
import { ARPHRD_ETHER, type LinuxLibc } from "../native/linux/libc.ts";
import type { Link, Links } from "../native/linux/links.ts";
import { UserError } from "../user-error.ts";

/** The drivers' kinds. */
const KINDS = ["tun", "veth"];
const OWN = "softnet";
const WHAT = "name a hypervisor's TAP, or the host's end of a container's veth";

/** An interface that may be attached to. */
export interface Candidate {
  readonly link: Link;
  /** The bridge that it is on. */
  readonly bridge: Link | undefined;
}

/** Throws UserError, which names what speaks against it. */
export function findInterface(libc: LinuxLibc, links: Links, name: string): Candidate {
  const link = /^[^\s/:%]{1,15}$/.test(name) ? links.byName(name) : undefined;
  if (link === undefined) {
    throw new UserError(`attach ${name}: there is no such interface here; "ip link" lists those there are`);
  }
  const refuse = (why: string): never => {
    throw new UserError(`attach ${name}: ${why}`);
  };
  if (link.isLoopback) refuse(`this is the loopback interface; ${WHAT}`);
  if (name.startsWith(OWN)) refuse(`names that begin with "${OWN}" are of softnet's own TAPs; ${WHAT}`);
  if (link.kind === "bridge") refuse(`this is a bridge, which leads to more than one VM; ${WHAT}`);
  if (defaultRouteLinks().includes(name)) refuse(`this host's default route leads through it; ${WHAT}`);
  if (link.type !== ARPHRD_ETHER || !KINDS.includes(link.kind)) {
    refuse(`this is ${link.kind === "" ? "a network card" : `an interface of the kind ${link.kind}`}; ${WHAT}`);
  }
  const [address] = addressesOf(libc, link.index);
  if (address !== undefined) {
    refuse(
      `it has the address ${address}, so the host needs it; remove that, and give the VM a network with --vm-net-type nat, or --bridge NAME`,
    );
  }
  const master = link.master === 0 ? undefined : links.byIndex(link.master);
  if (link.master !== 0 && master?.kind !== "bridge") {
    refuse(`it belongs to ${master?.name ?? "another interface"}, which is no bridge; take it out of that first`);
  }
  if (master?.vlanFiltering) {
    refuse(`bridge ${master.name} keeps VLANs apart (vlan_filtering), which softnet's TAP there does not; use another`);
  }
  return { link, bridge: master };
}

/** Through which interfaces a default route leads, IPv4 and IPv6. */
export function defaultRouteLinks(read: (path: string) => string = readOrNothing): string[] {
  const v4 = read("/proc/net/route")
    .split("\n")
    .map((line) => line.split("\t"))
    .filter(([, destination, , , , , , mask]) => destination === "00000000" && mask === "00000000")
    .map(([link]) => link!);
  const v6 = read("/proc/net/ipv6_route")
    .split("\n")
    .filter((line) => /^0{32} 00 /.test(line))
    .map((line) => line.trim().split(/\s+/).at(-1)!)
    .filter((link) => link !== "lo");
  return [...v4, ...v6];
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
