/** Unix sockets of Linux. */
import * as errors from "../native/linux/errno.ts";
import {
  AF_UNIX,
  F_DUPFD_CLOEXEC,
  type LinuxLibc,
  LOCK_EX,
  LOCK_NB,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  POLLFD,
  POLLHUP,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOCKADDR_UN,
} from "../native/linux/libc.ts";
import { closeOnExec, connectedSocket, growSendBuffer } from "./descriptor.ts";
import { GONE } from "./failure.ts";
import type { UnixAddressLayout, UnixSystem } from "./unix-system.ts";

/** The family, in two bytes. */
export const LINUX_LAYOUT: UnixAddressLayout = { ...SOCKADDR_UN, head: () => AF_UNIX };

export function linuxUnix(libc: LinuxLibc): UnixSystem {
  const asked = Buffer.alloc(POLLFD.size);
  return {
    libc,
    errors,
    layout: LINUX_LAYOUT,
    receiveFlags: MSG_DONTWAIT,
    sendFlags: MSG_DONTWAIT | MSG_NOSIGNAL,
    ownFolder: "$XDG_RUNTIME_DIR",
    socket: (type) =>
      type === "stream"
        ? libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
        : libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0),
    accept: (listener) => libc.accept4(listener, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK),
    duplicate: (fd, least) => libc.fcntl(fd, F_DUPFD_CLOEXEC, "int", least),
    lock: (fd) => libc.flock(fd, LOCK_EX | LOCK_NB) === 0,
    gone: GONE,
    closeOnExec: (fd) => closeOnExec(libc, fd),
    growSendBuffer: (fd, size) => growSendBuffer(libc, fd, size),
    silence: () => {}, // each send says so
    hasHungUp: (fd) => {
      asked.writeInt32LE(fd);
      return libc.poll(asked, 1, 0) > 0 && (asked.readInt16LE(POLLFD.found) & POLLHUP) !== 0;
    },
    connected: (option, fd, wanted) => connectedSocket(libc, option, fd, wanted),
  };
}
