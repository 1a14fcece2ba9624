/**
 * Finds out whether the peer of a unix socket still exists (linux/sock_diag.h, linux/unix_diag.h). A datagram socket
 * does not report that its peer has closed: there is no event, no SO_ERROR, and getpeername still succeeds. But the
 * peer's inode is then 0 here. Needs no privilege. Covers the sockets of the network namespace in which the netlink
 * socket was opened.
 */

import { AF_UNIX, type LinuxLibc } from "./libc.ts";
import { findAttribute, Netlink } from "./netlink.ts";

const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const ALL_STATES = 0xffffffff;
const UDIAG_SHOW_PEER = 4;
const UNIX_DIAG_PEER = 2;
const ANY_COOKIE = 0xffffffff;

/** struct unix_diag_req, struct unix_diag_msg. */
const REQUEST = { size: 24, family: 0, states: 4, inode: 8, show: 12, cookie: 16 } as const;
const ANSWER = { size: 16 } as const;

export type Peer = "present" | "gone" | "unknown";

export class UnixPeers {
  readonly #netlink: Netlink;

  /** Returns undefined when the kernel does not support it. */
  static open(libc: LinuxLibc): UnixPeers | undefined {
    const netlink = Netlink.open(libc, NETLINK_SOCK_DIAG);
    return typeof netlink === "number" ? undefined : new UnixPeers(netlink);
  }

  private constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  /** Whether the peer of the socket with this inode exists; "unknown" when the socket is in another namespace. */
  peerOf(inode: number): Peer {
    const request = new DataView(new ArrayBuffer(REQUEST.size));
    request.setUint8(REQUEST.family, AF_UNIX);
    request.setUint32(REQUEST.states, ALL_STATES, true);
    request.setUint32(REQUEST.inode, inode, true);
    request.setUint32(REQUEST.show, UDIAG_SHOW_PEER, true);
    request.setUint32(REQUEST.cookie, ANY_COOKIE, true);
    request.setUint32(REQUEST.cookie + 4, ANY_COOKIE, true);
    const { errno, message } = this.#netlink.request(SOCK_DIAG_BY_FAMILY, new Uint8Array(request.buffer));
    if (errno !== 0) return "unknown";
    const peer = findAttribute(message, ANSWER.size, UNIX_DIAG_PEER);
    return peer === undefined || peer.byteLength < 4 || peer.getUint32(0, true) === 0 ? "gone" : "present";
  }

  close(): void {
    this.#netlink.close();
  }
}
