/** IPv6 addresses as frames are judged: four signed words of 32 bits, the first one being the address's beginning. */

/** fe80:: and ff02:: in the first word. */
const LINK_LOCAL = 0xfe800000 | 0;
const LINK_LOCAL_GROUP = 0xff020000 | 0;

/** The last words of groups in ff02::/96: all nodes, all routers, MLDv2 routers, DHCPv6 servers and relays. */
export const ALL_NODES = 1;
export const ALL_ROUTERS = 2;
export const MLD2_ROUTERS = 0x16;
export const DHCPV6_SERVERS = 0x10002;

export function isSameAddress(one: Int32Array, other: Int32Array): boolean {
  return one[3] === other[3] && one[0] === other[0] && one[1] === other[1] && one[2] === other[2];
}

/** Whether an address is among others that stand one behind the other, four words each. */
export function isAmong(words: Int32Array, list: Int32Array): boolean {
  for (let at = 0; at < list.length; at += 4) {
    if (list[at + 3] !== words[3] || list[at + 2] !== words[2]) continue;
    if (list[at + 1] === words[1] && list[at] === words[0]) return true;
  }
  return false;
}

/** Of an address, or of the first 64 bits of one: whether the last 64 are zero. */
export function hasNoInterface(words: Int32Array): boolean {
  return words[2] === 0 && words[3] === 0;
}

export function isUnspecified(words: Int32Array): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === 0 && words[3] === 0;
}

/** ::1 */
export function isLoopback6(words: Int32Array): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === 0 && words[3] === 1;
}

export function isMulticast6(words: Int32Array): boolean {
  return words[0]! >>> 24 === 0xff;
}

/** fe80::/10, which is what receivers treat so. */
export function isLinkLocal(words: Int32Array): boolean {
  return words[0]! >>> 22 === 0x3fa;
}

/** fe80::/64, which is what addresses are made in (RFC 4291 2.5.6). */
export function isInLinkLocalPrefix(words: Int32Array): boolean {
  return words[0] === LINK_LOCAL && words[1] === 0;
}

/** Whether it is a group in ff02::/96 with this last word. */
export function isLinkLocalGroup(words: Int32Array, last: number): boolean {
  return words[0] === LINK_LOCAL_GROUP && words[1] === 0 && words[2] === 0 && words[3] === last;
}

/** Whether `group` is the solicited-node address of `target` (RFC 4291 2.7.1). */
export function isSolicitedNodeOf(group: Int32Array, target: Int32Array): boolean {
  return (
    group[0] === LINK_LOCAL_GROUP &&
    group[1] === 0 &&
    group[2] === 1 &&
    group[3] === (0xff000000 | (target[3]! & 0xffffff))
  );
}
