/**
 * Changes of network interfaces and their addresses: rtnetlink's RTM_NEWLINK and RTM_NEWADDR (rtnetlink(7),
 * linux/if_link.h, linux/if_addr.h). They need CAP_NET_ADMIN.
 */
import { putIPv6 } from "../../wire/ipv6-address.ts";
import { describeError } from "./errno.ts";
import { AF_INET, AF_INET6, type LinuxLibc } from "./libc.ts";
import { makeAttribute, NETLINK_ROUTE, Netlink, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL } from "./netlink.ts";

const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT_ISOLATED = 33;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const NLA_F_NESTED = 0x8000;
const IFF_UP = 1;

/** The address is valid at once: nobody is asked whether he has it. */
const IFA_F_NODAD = 2;

/** struct ifinfomsg and struct ifaddrmsg. */
const IFINFOMSG = { size: 16, index: 4, flags: 8, change: 12 } as const;
const IFADDRMSG = { size: 8, family: 0, prefixLength: 1, flags: 2, index: 4 } as const;

/** Changes interfaces, by index. Each method throws Error with the kernel's reason. */
export class LinkChanges {
  readonly #netlink: Netlink;

  constructor(libc: LinuxLibc) {
    const netlink = Netlink.open(libc, NETLINK_ROUTE);
    if (typeof netlink === "number") throw new Error(`no route netlink socket: ${describeError(netlink)}`);
    this.#netlink = netlink;
  }

  up(index: number): void {
    this.#setLink(index, [], IFF_UP);
  }

  /** Bytes of the largest IP packet. */
  setMtu(index: number, mtu: number): void {
    this.#setLink(index, [number32(IFLA_MTU, mtu)]);
  }

  /** Prevents an automatic IPv6 address; only when the kernel has IPv6. */
  withoutIPv6Address(index: number): void {
    const mode = makeAttribute(IFLA_INET6_ADDR_GEN_MODE, Uint8Array.of(IN6_ADDR_GEN_MODE_NONE));
    this.#setLink(index, [nested(IFLA_AF_SPEC, nested(AF_INET6, mode))]);
  }

  /** Puts it on the bridge with that index; 0 takes it off. */
  setMaster(index: number, bridge: number): void {
    this.#setLink(index, [number32(IFLA_MASTER, bridge)]);
  }

  /** Whether the bridge that it is on keeps it from other isolated ports. */
  setIsolated(index: number, isolated: boolean): void {
    this.setPort(index, { [IFLA_BRPORT_ISOLATED]: isolated ? 1 : 0 });
  }

  /** Settings of a bridge's port, of one byte each, by attribute (linux/if_link.h, IFLA_BRPORT_…). */
  setPort(index: number, settings: Readonly<Record<number, number>>): void {
    const data = Object.entries(settings).map(([type, value]) => makeAttribute(Number(type), Uint8Array.of(value)));
    const kind = makeAttribute(IFLA_INFO_SLAVE_KIND, Buffer.from("bridge\0"));
    this.#setLink(index, [nested(IFLA_LINKINFO, kind, nested(IFLA_INFO_SLAVE_DATA, ...data))]);
  }

  /** Gives it an IPv4 address (host order), which it must not have yet. */
  addAddress(index: number, address: number, prefixLength: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(address);
    this.#addAddress(AF_INET, index, bytes, prefixLength);
  }

  /** Gives it an IPv6 address, which it must not have yet, without duplicate address detection. */
  addIPv6Address(index: number, address: bigint, prefixLength: number): void {
    const bytes = Buffer.alloc(16);
    putIPv6(bytes, 0, address);
    this.#addAddress(AF_INET6, index, bytes, prefixLength, IFA_F_NODAD);
  }

  close(): void {
    this.#netlink.close();
  }

  #addAddress(family: number, index: number, address: Uint8Array, prefixLength: number, flags = 0): void {
    const header = Buffer.alloc(IFADDRMSG.size);
    header.writeUInt8(family, IFADDRMSG.family);
    header.writeUInt8(prefixLength, IFADDRMSG.prefixLength);
    header.writeUInt8(flags, IFADDRMSG.flags);
    header.writeUInt32LE(index, IFADDRMSG.index);
    const attributes = [makeAttribute(IFA_LOCAL, address), makeAttribute(IFA_ADDRESS, address)];
    this.#request(RTM_NEWADDR, Buffer.concat([header, ...attributes]), NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  }

  #setLink(index: number, attributes: readonly Uint8Array[], flags = 0): void {
    const header = Buffer.alloc(IFINFOMSG.size);
    header.writeInt32LE(index, IFINFOMSG.index);
    header.writeUInt32LE(flags, IFINFOMSG.flags);
    header.writeUInt32LE(flags, IFINFOMSG.change);
    this.#request(RTM_NEWLINK, Buffer.concat([header, ...attributes]), NLM_F_ACK);
  }

  #request(type: number, body: Uint8Array, flags: number): void {
    const { errno } = this.#netlink.request(type, body, flags);
    if (errno !== 0) throw new Error(describeError(errno));
  }
}

/** Makes the changes with a socket of their own, which is closed afterwards. */
export function changeLinks(libc: LinuxLibc, change: (links: LinkChanges) => void): void {
  const links = new LinkChanges(libc);
  try {
    change(links);
  } finally {
    links.close();
  }
}

function nested(type: number, ...attributes: readonly Uint8Array[]): Uint8Array {
  return makeAttribute(type | NLA_F_NESTED, Buffer.concat(attributes));
}

function number32(type: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return makeAttribute(type, bytes);
}
