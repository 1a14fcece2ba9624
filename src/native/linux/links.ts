/** Network interfaces as the kernel knows them: rtnetlink's RTM_GETLINK (rtnetlink(7), linux/if_link.h). No privilege. */

import { describeError, ENODEV } from "./errno.ts";
import type { LinuxLibc } from "./libc.ts";
import { findAttribute, makeAttribute, NETLINK_ROUTE, Netlink } from "./netlink.ts";

const RTM_GETLINK = 18;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT_STATE = 1;
const IFLA_TUN_OWNER = 1;
const IFLA_TUN_GROUP = 2;
const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_EXT_MASK = 29;
const RTEXT_FILTER_SKIP_STATS = 8;

/** struct ifinfomsg. */
const IFINFOMSG = { size: 16, type: 2, index: 4, flags: 8 } as const;
const IFF_UP = 1;
const IFF_LOOPBACK = 8;

/** A bridge's port's settings of one byte that may be changed (linux/if_link.h, IFLA_BRPORT_…). */
const PORT_SETTINGS = [4, 5, 7, 8, 9, 27, 30, 32, 33] as const;

/** linux/if_bridge.h: before it a port is disabled (0), listening (1) or learning (2); blocked (4) to break a loop. */
export const BR_STATE_FORWARDING = 3;

/** What softnet wants to know of an interface. */
export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  /** Index of the bridge it is a port of; 0 for none. */
  readonly master: number;
  /** The driver's kind, `bridge`, `tun` …; empty for hardware. */
  readonly kind: string;
  /** Of a bridge's port: what the bridge does with its frames, BR_STATE_FORWARDING or another number. */
  readonly portState: number | undefined;
  /** Of a TAP: the only user, and the only group, that may attach to it without privileges. */
  readonly owner: number | undefined;
  readonly group: number | undefined;
  /** Its own MAC address, six bytes in hexadecimal; empty where it has none. */
  readonly address: string;
  /** ARPHRD_ETHER or another type of hardware. */
  readonly type: number;
  readonly isUp: boolean;
  readonly isLoopback: boolean;
  /** Of a bridge: whether it keeps VLANs apart. */
  readonly vlanFiltering: boolean;
  /** Of a bridge's port: its settings by attribute, as LinkChanges.setPort takes them. */
  readonly portSettings: Readonly<Record<number, number>> | undefined;
}

export class Links {
  readonly #netlink: Netlink;

  constructor(libc: LinuxLibc) {
    const netlink = Netlink.open(libc, NETLINK_ROUTE);
    if (typeof netlink === "number") throw new Error(`cannot open a route netlink socket: ${describeError(netlink)}`);
    this.#netlink = netlink;
  }

  /** The interface of that name, or undefined when there is none. */
  byName(name: string): Link | undefined {
    return this.#get(0, makeAttribute(IFLA_IFNAME, Buffer.from(`${name}\0`)));
  }

  /** The interface with that index in this network namespace, or undefined when there is none. */
  byIndex(index: number): Link | undefined {
    return this.#get(index, new Uint8Array(0));
  }

  close(): void {
    this.#netlink.close();
  }

  #get(index: number, attribute: Uint8Array): Link | undefined {
    const header = new DataView(new ArrayBuffer(IFINFOMSG.size));
    header.setInt32(IFINFOMSG.index, index, true);
    const mask = makeAttribute(IFLA_EXT_MASK, Uint8Array.of(RTEXT_FILTER_SKIP_STATS, 0, 0, 0));
    const body = Buffer.concat([new Uint8Array(header.buffer), attribute, mask]);
    const { errno, message } = this.#netlink.request(RTM_GETLINK, body);
    if (errno === ENODEV) return undefined;
    if (errno !== 0) throw new Error(`cannot ask for an interface: ${describeError(errno)}`);
    const info = findAttribute(message, IFINFOMSG.size, IFLA_LINKINFO);
    const kind = info === undefined ? "" : text(findAttribute(info, 0, IFLA_INFO_KIND));
    const isPort = info !== undefined && text(findAttribute(info, 0, IFLA_INFO_SLAVE_KIND)) === "bridge";
    const port = isPort ? findAttribute(info, 0, IFLA_INFO_SLAVE_DATA) : undefined;
    const bridge = info === undefined || kind !== "bridge" ? undefined : findAttribute(info, 0, IFLA_INFO_DATA);
    const flags = message.getUint32(IFINFOMSG.flags, true);
    const tun = info === undefined || kind !== "tun" ? undefined : findAttribute(info, 0, IFLA_INFO_DATA);
    return {
      index: message.getInt32(IFINFOMSG.index, true),
      name: text(findAttribute(message, IFINFOMSG.size, IFLA_IFNAME)),
      mtu: findAttribute(message, IFINFOMSG.size, IFLA_MTU)?.getUint32(0, true) ?? 0,
      master: findAttribute(message, IFINFOMSG.size, IFLA_MASTER)?.getUint32(0, true) ?? 0,
      kind,
      portState: port && findAttribute(port, 0, IFLA_BRPORT_STATE)?.getUint8(0),
      owner: tun && findAttribute(tun, 0, IFLA_TUN_OWNER)?.getUint32(0, true),
      group: tun && findAttribute(tun, 0, IFLA_TUN_GROUP)?.getUint32(0, true),
      address: hexadecimal(findAttribute(message, IFINFOMSG.size, IFLA_ADDRESS)),
      type: message.getUint16(IFINFOMSG.type, true),
      isUp: (flags & IFF_UP) !== 0,
      isLoopback: (flags & IFF_LOOPBACK) !== 0,
      vlanFiltering: bridge !== undefined && findAttribute(bridge, 0, IFLA_BR_VLAN_FILTERING)?.getUint8(0) === 1,
      portSettings: port && settingsOf(port),
    };
  }
}

function settingsOf(port: DataView): Record<number, number> {
  return Object.fromEntries(
    PORT_SETTINGS.flatMap((attribute) => {
      const value = findAttribute(port, 0, attribute);
      return value?.byteLength === 1 ? [[attribute, value.getUint8(0)]] : [];
    }),
  );
}

function hexadecimal(value: DataView | undefined): string {
  if (value === undefined) return "";
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex");
}

/** A value that ends with a zero byte. */
function text(value: DataView | undefined): string {
  if (value === undefined) return "";
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString("utf8");
}
