/**
 * The kernel's table of connections (linux/netfilter/nfnetlink_conntrack.h): deletes those of one address or IPv6 prefix. Needs
 * CAP_NET_ADMIN, and Linux 5.8 or later, whose listing filters by address.
 */
import { getIPv6 } from "../../wire/ipv6-address.ts";
import { AF_INET, AF_INET6, type LinuxLibc } from "./libc.ts";
import { findAttribute, makeAttribute, NETLINK_NETFILTER, Netlink, NLM_F_ACK } from "./netlink.ts";

const CTNETLINK = 1 << 8;
const GET = CTNETLINK | 1;
const DELETE = CTNETLINK | 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_TUPLE_IP = 1;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V6_SRC = 3;
const CTA_ID = 12;
const CTA_FILTER = 25;
/** Required for this attribute; older attributes do not need it. */
const NLA_F_NESTED = 0x8000;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
/** Filter by the source address. */
const CTA_FILTER_F_CTA_IP_SRC = 1;
/** struct nfgenmsg: family, version, a number of 2 bytes. */
const NFGENMSG = Uint8Array.of(AF_INET, 0, 0, 0);
const NFGENMSG6 = Uint8Array.of(AF_INET6, 0, 0, 0);

/** Which address: of the host that began the connection, or of the one that replies. */
type End = typeof CTA_TUPLE_ORIG | typeof CTA_TUPLE_REPLY;

/**
 * Deletes the connections that `address` (host order) began, and those that lead to it. At most `most` at once. Returns how
 * many these were, with those that ended by themselves meanwhile: `most` says that there may be more. Throws Error when the
 * kernel refuses to list them.
 */
export function deleteConnections(libc: LinuxLibc, address: number, most: number): number {
  const netlink = Netlink.open(libc, NETLINK_NETFILTER);
  if (typeof netlink === "number") throw new Error(`no netlink socket: error ${netlink}`);
  try {
    const found = [CTA_TUPLE_ORIG, CTA_TUPLE_REPLY]
      .flatMap((end) => list(netlink, end as End, address, most))
      .slice(0, most);
    for (const body of found) netlink.request(DELETE, body, NLM_F_ACK);
    return found.length;
  } finally {
    netlink.close();
  }
}

/**
 * The same for all addresses of a /64, by its first one. The kernel's filter knows no prefix, so it lists all IPv6 connections
 * of the host.
 */
export function deleteConnections6(libc: LinuxLibc, prefix: bigint, most: number): number {
  const netlink = Netlink.open(libc, NETLINK_NETFILTER);
  if (typeof netlink === "number") throw new Error(`no netlink socket: error ${netlink}`);
  try {
    const requests: Uint8Array[] = [];
    const errno = netlink.list(GET, NFGENMSG6, (message) => {
      const isOne = [CTA_TUPLE_ORIG, CTA_TUPLE_REPLY].some((end) => hasSource(message, end, prefix));
      const request = isOne && requests.length < most ? deletionOf(message, NFGENMSG6) : undefined;
      if (request !== undefined) requests.push(request);
    });
    if (errno !== 0) throw new Error(`connections cannot be listed: error ${errno}`);
    for (const body of requests) netlink.request(DELETE, body, NLM_F_ACK);
    return requests.length;
  } finally {
    netlink.close();
  }
}

function hasSource(message: DataView, end: number, prefix: bigint): boolean {
  const tuple = findAttribute(message, NFGENMSG6.length, end);
  const ip = tuple && findAttribute(tuple, 0, CTA_TUPLE_IP);
  const source = ip && findAttribute(ip, 0, CTA_IP_V6_SRC);
  if (source === undefined || source.byteLength < 16) return false;
  return getIPv6(new Uint8Array(source.buffer, source.byteOffset, 16), 0) >> 64n === prefix >> 64n;
}

/** A request to delete the connection that was listed. */
function deletionOf(message: DataView, header: Uint8Array): Uint8Array | undefined {
  const tuple = findAttribute(message, header.length, CTA_TUPLE_ORIG);
  const id = findAttribute(message, header.length, CTA_ID);
  if (tuple === undefined || id === undefined) return undefined;
  return Buffer.concat([header, copy(CTA_TUPLE_ORIG, tuple), copy(CTA_ID, id)]);
}

/** Returns a delete request for each connection that is found. */
function list(netlink: Netlink, end: End, address: number, most: number): Uint8Array[] {
  const source = new DataView(new ArrayBuffer(4));
  source.setUint32(0, address);
  const ip = makeAttribute(CTA_TUPLE_IP, makeAttribute(CTA_IP_V4_SRC, new Uint8Array(source.buffer)));
  const flags = [
    makeAttribute(CTA_FILTER_ORIG_FLAGS, number(end === CTA_TUPLE_ORIG ? CTA_FILTER_F_CTA_IP_SRC : 0)),
    makeAttribute(CTA_FILTER_REPLY_FLAGS, number(end === CTA_TUPLE_REPLY ? CTA_FILTER_F_CTA_IP_SRC : 0)),
  ];
  const body = Buffer.concat([
    NFGENMSG,
    makeAttribute(end, ip),
    makeAttribute(CTA_FILTER | NLA_F_NESTED, Buffer.concat(flags)),
  ]);
  const requests: Uint8Array[] = [];
  const errno = netlink.list(GET, body, (message) => {
    const request = requests.length < most ? deletionOf(message, NFGENMSG) : undefined;
    if (request !== undefined) requests.push(request);
  });
  if (errno !== 0) throw new Error(`connections cannot be listed: error ${errno}`);
  return requests;
}

function copy(type: number, value: DataView): Uint8Array {
  return makeAttribute(type, new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice());
}

/** 4 bytes in host order. */
function number(value: number): Uint8Array {
  return Uint8Array.of(value, 0, 0, 0);
}
