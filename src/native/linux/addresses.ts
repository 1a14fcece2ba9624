/** The addresses of interfaces, also of those that are down: rtnetlink's RTM_GETADDR (rtnetlink(7)). No privilege. */
import { describeError } from "./errno.ts";
import { AF_INET, AF_INET6, type LinuxLibc } from "./libc.ts";
import { findAttribute, NETLINK_ROUTE, Netlink } from "./netlink.ts";

const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RT_SCOPE_LINK = 253;

/** struct ifaddrmsg. */
const IFADDRMSG = { size: 8, family: 0, scope: 3, index: 4 } as const;

/** The addresses of the interface with that index, for people; without the link-local ones of IPv6. Throws Error. */
export function addressesOf(libc: LinuxLibc, index: number): string[] {
  const netlink = Netlink.open(libc, NETLINK_ROUTE);
  if (typeof netlink === "number") throw new Error(`cannot open a route netlink socket: ${describeError(netlink)}`);
  const found: string[] = [];
  try {
    const errno = netlink.list(RTM_GETADDR, new Uint8Array(IFADDRMSG.size), (message) => {
      if (message.getUint32(IFADDRMSG.index, true) !== index) return;
      const family = message.getUint8(IFADDRMSG.family);
      if (family === AF_INET6 && message.getUint8(IFADDRMSG.scope) === RT_SCOPE_LINK) return;
      const value =
        findAttribute(message, IFADDRMSG.size, IFA_LOCAL) ?? findAttribute(message, IFADDRMSG.size, IFA_ADDRESS);
      if (value !== undefined) found.push(format(family, value));
    });
    if (errno !== 0) throw new Error(`cannot list addresses: ${describeError(errno)}`);
    return found;
  } finally {
    netlink.close();
  }
}

function format(family: number, value: DataView): string {
  if (family === AF_INET) return Array.from({ length: 4 }, (_, at) => value.getUint8(at)).join(".");
  return Array.from({ length: 8 }, (_, at) => value.getUint16(at * 2).toString(16)).join(":");
}
