/** Packets that the kernel dropped at an interface: rtnetlink's RTM_GETSTATS (linux/if_link.h, since Linux 4.7). No privilege. */
import type { LinuxLibc } from "./libc.ts";
import { findAttribute, NETLINK_ROUTE, Netlink } from "./netlink.ts";

const RTM_GETSTATS = 94;
const IFLA_STATS_LINK_64 = 1;
/** struct if_stats_msg. */
const IF_STATS_MSG = { size: 12, index: 4, filter: 8 } as const;
/** Offsets in struct rtnl_link_stats64. */
const RX_DROPPED = 48;
const TX_DROPPED = 56;

export class LinkDrops {
  /** Packets that came in from the interface, since it was made; those of its last `update`. */
  received = 0;
  /** Packets that were to go out to it. */
  sent = 0;
  readonly #netlink: Netlink;
  readonly #request = new Uint8Array(IF_STATS_MSG.size);

  private constructor(netlink: Netlink, index: number) {
    this.#netlink = netlink;
    const view = new DataView(this.#request.buffer);
    view.setUint32(IF_STATS_MSG.index, index, true);
    view.setUint32(IF_STATS_MSG.filter, 1 << (IFLA_STATS_LINK_64 - 1), true);
  }

  /** Of the interface with that index in this network namespace; undefined where the system says nothing of it. */
  static open(libc: LinuxLibc, index: number): LinkDrops | undefined {
    const netlink = Netlink.open(libc, NETLINK_ROUTE);
    if (typeof netlink === "number") return undefined;
    const drops = new LinkDrops(netlink, index);
    if (drops.update()) return drops;
    drops.close();
    return undefined;
  }

  /** Reads the numbers again; returns false where the interface is not here any more. */
  update(): boolean {
    const { errno, message } = this.#netlink.request(RTM_GETSTATS, this.#request);
    const statistics = errno === 0 ? findAttribute(message, IF_STATS_MSG.size, IFLA_STATS_LINK_64) : undefined;
    if (statistics === undefined || statistics.byteLength < TX_DROPPED + 8) return false;
    this.received = Number(statistics.getBigUint64(RX_DROPPED, true));
    this.sent = Number(statistics.getBigUint64(TX_DROPPED, true));
    return true;
  }

  close(): void {
    this.#netlink.close();
  }
}
