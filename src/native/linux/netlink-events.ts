/**
 * The kernel's notifications: a netlink socket that has joined multicast groups, watched in the event loop. When
 * messages were lost (ENOBUFS), `onEvent` is called with undefined: anything may have changed.
 */
import { allocate } from "../memory.ts";
import { Poll } from "../poll.ts";
import { describeError, EAGAIN, EINTR, ENOBUFS } from "./errno.ts";
import { AF_NETLINK, type LinuxLibc, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_RAW } from "./libc.ts";
import { type Message, messagesOf } from "./netlink.ts";

const BUFFER_SIZE = 64 * 1024;
/** struct sockaddr_nl: family (2 bytes), padding (2), port (4), groups (4). */
const SOCKADDR_NL = { size: 12, groups: 8 } as const;

/** Groups of NETLINK_ROUTE as bits (linux/rtnetlink.h): group n is bit n - 1. */
export const RTMGRP_LINK = 1;
export const RTMGRP_IPV4_IFADDR = 0x10;
export const RTMGRP_IPV4_ROUTE = 0x40;
export const RTMGRP_IPV4_NETCONF = 1 << 23;
export const RTMGRP_IPV6_IFADDR = 0x100;
export const RTMGRP_IPV6_ROUTE = 0x400;
export const RTMGRP_IPV6_NETCONF = 1 << 24;
/** Of NETLINK_NETFILTER (linux/netfilter/nfnetlink.h): NFNLGRP_NFTABLES. */
export const NFTABLES_GROUP = 1 << 6;

export class NetlinkEvents {
  readonly #libc: LinuxLibc;
  readonly #fd: number;
  readonly #poll: Poll;
  readonly #memory = allocate(BUFFER_SIZE);
  readonly #view = new DataView(this.#memory.bytes.buffer, this.#memory.bytes.byteOffset, BUFFER_SIZE);
  readonly #onEvent: (message: Message | undefined) => void;

  /** Joins the groups. Throws Error when the kernel refuses. */
  constructor(libc: LinuxLibc, protocol: number, groups: number, onEvent: (message: Message | undefined) => void) {
    this.#libc = libc;
    this.#onEvent = onEvent;
    this.#fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (this.#fd < 0) throw new Error(`cannot open a netlink socket: ${describeError(libc.errno())}`);
    const address = Buffer.alloc(SOCKADDR_NL.size);
    address.writeUInt16LE(AF_NETLINK);
    address.writeUInt32LE(groups, SOCKADDR_NL.groups);
    if (libc.bind(this.#fd, address, address.length) < 0) {
      const errno = libc.errno();
      libc.close(this.#fd);
      throw new Error(`cannot listen to netlink: ${describeError(errno)}`);
    }
    this.#poll = new Poll(this.#fd);
    this.#poll.watch(true, false, this.#receive);
  }

  close(): void {
    this.#poll.close();
    this.#libc.close(this.#fd);
    this.#memory.free();
  }

  readonly #receive = (): void => {
    for (;;) {
      const received = this.#libc.recv(this.#fd, this.#memory.address, BUFFER_SIZE, MSG_DONTWAIT);
      if (received < 0) {
        const errno = this.#libc.errno();
        if (errno === EINTR) continue;
        if (errno === EAGAIN) break;
        this.#onEvent(undefined);
        if (errno === ENOBUFS) continue;
        break;
      }
      for (const message of messagesOf(this.#view, received)) this.#onEvent(message);
    }
    this.#poll.rearm();
  };
}
