/**
 * The IPv4 addresses and routes of a whole network namespace, as `ip -4 address` and `ip -4 route show table all` list
 * them: rtnetlink's RTM_GETADDR and RTM_GETROUTE (rtnetlink(7), linux/rtnetlink.h). No privilege. A program such as ip would
 * cost more processor time than everything else that the host's helper does for one VM.
 */
import { describeError } from "./errno.ts";
import { AF_INET, type LinuxLibc } from "./libc.ts";
import { findAttribute, NETLINK_ROUTE, Netlink } from "./netlink.ts";

export const RTM_GETADDR = 22;
export const RTM_GETROUTE = 26;

/** struct ifaddrmsg. */
export const IFADDRMSG = { size: 8, family: 0, prefixLength: 1, index: 4 } as const;
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;

/** struct rtmsg. */
export const RTMSG = { size: 12, family: 0, prefixLength: 1, table: 4, type: 7, flags: 8 } as const;
export const RTA_DST = 1;
export const RTA_OIF = 4;
export const RTA_TABLE = 15;
const RT_TABLE_MAIN = 254;
/** What the kernel learned of one destination, such as its path MTU: no route of the host's. */
export const RTM_F_CLONED = 0x200;

const IF_NAMESIZE = 16;

/** Addresses are in host order, lengths 0 … 32. */
export interface HostAddress {
  readonly link: string;
  readonly address: number;
  /** The other end of a point-to-point link; where there is none, the address itself. */
  readonly peer: number;
  /** Of the peer's prefix. */
  readonly prefixLength: number;
}

export interface HostRoute {
  /** Empty where the route leads to no link, or to several. */
  readonly link: string;
  readonly destination: number;
  readonly prefixLength: number;
  /** Whether it is in the table that every packet is looked up in. */
  readonly isMain: boolean;
}

/** Throws Error when the kernel refuses. */
export function listAddresses(libc: LinuxLibc): HostAddress[] {
  const nameOf = linkNames(libc);
  const body = new Uint8Array(IFADDRMSG.size);
  body[IFADDRMSG.family] = AF_INET;
  return list(libc, RTM_GETADDR, body, (message) => {
    if (message.getUint8(IFADDRMSG.family) !== AF_INET) return undefined;
    const peer = findAttribute(message, IFADDRMSG.size, IFA_ADDRESS)?.getUint32(0);
    const address = findAttribute(message, IFADDRMSG.size, IFA_LOCAL)?.getUint32(0) ?? peer;
    if (address === undefined) return undefined;
    return {
      link: nameOf(message.getUint32(IFADDRMSG.index, true)),
      address,
      peer: peer ?? address,
      prefixLength: message.getUint8(IFADDRMSG.prefixLength),
    };
  });
}

/** Routes of all tables and types. Throws Error when the kernel refuses. */
export function listRoutes(libc: LinuxLibc): HostRoute[] {
  const nameOf = linkNames(libc);
  const body = new Uint8Array(RTMSG.size);
  body[RTMSG.family] = AF_INET;
  return list(libc, RTM_GETROUTE, body, (message) => {
    if (message.getUint8(RTMSG.family) !== AF_INET) return undefined;
    if ((message.getUint32(RTMSG.flags, true) & RTM_F_CLONED) !== 0) return undefined;
    const table = findAttribute(message, RTMSG.size, RTA_TABLE)?.getUint32(0, true) ?? message.getUint8(RTMSG.table);
    return {
      link: nameOf(findAttribute(message, RTMSG.size, RTA_OIF)?.getUint32(0, true) ?? 0),
      destination: findAttribute(message, RTMSG.size, RTA_DST)?.getUint32(0) ?? 0,
      prefixLength: message.getUint8(RTMSG.prefixLength),
      isMain: table === RT_TABLE_MAIN,
    };
  });
}

/** Lists what `parse` makes of each message. Throws Error when the kernel refuses. */
export function list<T>(
  libc: LinuxLibc,
  type: number,
  body: Uint8Array,
  parse: (message: DataView) => T | undefined,
): T[] {
  const netlink = Netlink.open(libc, NETLINK_ROUTE);
  if (typeof netlink === "number") throw new Error(`cannot open a route netlink socket: ${describeError(netlink)}`);
  try {
    const found = netlink.collect(type, body, parse);
    if (typeof found === "number") throw new Error(`cannot list addresses and routes: ${describeError(found)}`);
    return found;
  } finally {
    netlink.close();
  }
}

/** Looks each interface up once. Empty for 0, and for one that is gone. */
export function linkNames(libc: LinuxLibc): (index: number) => string {
  const names = new Map([[0, ""]]);
  const bytes = new Uint8Array(IF_NAMESIZE);
  return (index) => {
    let name = names.get(index);
    if (name === undefined) {
      const found = libc.if_indextoname(index, bytes);
      name = found === null ? "" : Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString("utf8");
      names.set(index, name);
    }
    return name;
  };
}
