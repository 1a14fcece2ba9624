/** The IPv6 addresses and routes of a whole network namespace, as host-network.ts lists IPv4's. No privilege. */
import { getIPv6 } from "../../wire/ipv6-address.ts";
import {
  IFA_ADDRESS,
  IFA_LOCAL,
  IFADDRMSG,
  linkNames,
  list,
  RTA_DST,
  RTA_OIF,
  RTA_TABLE,
  RTM_F_CLONED,
  RTM_GETADDR,
  RTM_GETROUTE,
  RTMSG,
} from "./host-network.ts";
import { AF_INET6, type LinuxLibc } from "./libc.ts";
import { findAttribute } from "./netlink.ts";

const RTA_MULTIPATH = 9;
const RT_TABLE_LOCAL = 255;
/** A route that leads somewhere; others say that there is nothing. */
const RTN_UNICAST = 1;

/** Addresses as wire/ipv6-address.ts has them, lengths 0 … 128. */
export interface HostAddress6 {
  readonly link: string;
  readonly address: bigint;
  readonly prefixLength: number;
}

export interface HostRoute6 {
  /** Empty where the route leads to several links. */
  readonly link: string;
  readonly destination: bigint;
  readonly prefixLength: number;
}

/** Throws Error when the kernel refuses. */
export function listAddresses6(libc: LinuxLibc): HostAddress6[] {
  const nameOf = linkNames(libc);
  const body = new Uint8Array(IFADDRMSG.size);
  body[IFADDRMSG.family] = AF_INET6;
  return list(libc, RTM_GETADDR, body, (message) => {
    if (message.getUint8(IFADDRMSG.family) !== AF_INET6) return undefined;
    const value =
      findAttribute(message, IFADDRMSG.size, IFA_LOCAL) ?? findAttribute(message, IFADDRMSG.size, IFA_ADDRESS);
    if (value === undefined) return undefined;
    return {
      link: nameOf(message.getUint32(IFADDRMSG.index, true)),
      address: addressOf(value),
      prefixLength: message.getUint8(IFADDRMSG.prefixLength),
    };
  });
}

/** The routes that lead to other machines, of all tables. Throws Error when the kernel refuses. */
export function listRoutes6(libc: LinuxLibc): HostRoute6[] {
  const nameOf = linkNames(libc);
  const body = new Uint8Array(RTMSG.size);
  body[RTMSG.family] = AF_INET6;
  return list(libc, RTM_GETROUTE, body, (message) => {
    if (message.getUint8(RTMSG.family) !== AF_INET6 || message.getUint8(RTMSG.type) !== RTN_UNICAST) return undefined;
    if ((message.getUint32(RTMSG.flags, true) & RTM_F_CLONED) !== 0) return undefined;
    const table = findAttribute(message, RTMSG.size, RTA_TABLE)?.getUint32(0, true) ?? message.getUint8(RTMSG.table);
    if (table === RT_TABLE_LOCAL) return undefined;
    const link = nameOf(findAttribute(message, RTMSG.size, RTA_OIF)?.getUint32(0, true) ?? 0);
    if (link === "" && findAttribute(message, RTMSG.size, RTA_MULTIPATH) === undefined) return undefined;
    const destination = findAttribute(message, RTMSG.size, RTA_DST);
    return {
      link,
      destination: destination === undefined ? 0n : addressOf(destination),
      prefixLength: message.getUint8(RTMSG.prefixLength),
    };
  });
}

function addressOf(value: DataView): bigint {
  return value.byteLength < 16 ? 0n : getIPv6(new Uint8Array(value.buffer, value.byteOffset, value.byteLength), 0);
}
