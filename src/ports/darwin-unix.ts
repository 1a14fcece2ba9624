/**
 * Unix sockets of Darwin. What is otherwise than on Linux:
 *
 * - sockaddr_un begins with its own length, and has four bytes less for the path.
 * - Nothing makes a socket close-on-exec from the start; softnet starts no program in between. Non-blocking is what
 *   libuv makes a descriptor that it watches; recv and send are told each time, since O_NONBLOCK would hold for whoever
 *   else has the same end of a socketpair.
 * - Not every kernel knows MSG_NOSIGNAL; all know the socket option.
 * - poll(2) reports POLLHUP only to who waits for something, and then for a half-close too. getpeername tells the two
 *   apart: once both directions are closed it fails with EINVAL (xnu, bsd/kern/uipc_syscalls.c).
 */
import * as errors from "../native/darwin/errno.ts";
import {
  AF_UNIX,
  type DarwinLibc,
  F_DUPFD_CLOEXEC,
  F_SETFD,
  FD_CLOEXEC,
  LOCK_EX,
  LOCK_NB,
  MSG_DONTWAIT,
  SO_NOSIGPIPE,
  SO_SNDBUF,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOCKADDR,
  SOCKADDR_UN,
  SOL_SOCKET,
} from "../native/darwin/libc.ts";
import { allocate } from "../native/memory.ts";
import { UserError } from "../user-error.ts";
import type { SocketKind } from "./descriptor.ts";
import type { UnixAddressLayout, UnixSystem } from "./unix-system.ts";

/** What a socket says whose other side is gone. */
export const GONE: ReadonlySet<number> = new Set([
  errors.ECONNRESET,
  errors.ECONNREFUSED,
  errors.EDESTADDRREQ,
  errors.ENOTCONN,
  errors.EPIPE,
]);

/** The length, then the family. */
export const DARWIN_LAYOUT: UnixAddressLayout = {
  ...SOCKADDR_UN,
  head: (size) => size | (AF_UNIX << 8),
};

/** To be made once a process: the memory for getpeername stays. */
export function darwinUnix(libc: DarwinLibc): UnixSystem {
  const peer = allocate(SOCKADDR.size + 4);
  const peerLength = new Uint32Array(peer.bytes.buffer, peer.bytes.byteOffset + SOCKADDR.size, 1);
  const hasPeer = (fd: number): boolean => {
    peerLength[0] = SOCKADDR.size;
    return libc.getpeername(fd, peer.address, peer.address + SOCKADDR.size) === 0;
  };
  const closedOnExec = (fd: number): number => {
    if (fd >= 0) libc.fcntl(fd, F_SETFD, "int", FD_CLOEXEC);
    return fd;
  };
  return {
    libc,
    errors,
    layout: DARWIN_LAYOUT,
    receiveFlags: MSG_DONTWAIT,
    sendFlags: MSG_DONTWAIT,
    ownFolder: "$TMPDIR",
    socket: (type) => closedOnExec(libc.socket(AF_UNIX, type === "stream" ? SOCK_STREAM : SOCK_DGRAM, 0)),
    accept: (listener) => closedOnExec(libc.accept(listener, null, null)),
    duplicate: (fd, least) => libc.fcntl(fd, F_DUPFD_CLOEXEC, "int", least),
    lock: (fd) => libc.flock(fd, LOCK_EX | LOCK_NB) === 0,
    gone: GONE,
    closeOnExec: (fd) => void (fd > 2 && closedOnExec(fd)),
    growSendBuffer: (fd, size) => void libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, [size], 4),
    silence: (fd) => void libc.setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, [1], 4),
    hasHungUp: (fd) => !hasPeer(fd),
    connected: (option, fd, wanted) => connectedSocket(libc, hasPeer, option, fd, wanted),
  };
}

function connectedSocket(
  libc: DarwinLibc,
  hasPeer: (fd: number) => boolean,
  option: string,
  fd: number,
  wanted: string,
): SocketKind {
  const { EBADF, EINVAL, ENOTSOCK, describeError } = errors;
  const refuse = (why: string): UserError => new UserError(`${option} ${fd}: ${why}; pass ${wanted}`);
  const type: [number] = [0];
  if (libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, type, [4]) < 0) {
    const errno = libc.errno();
    if (errno === EBADF) throw refuse("this descriptor is not open");
    throw refuse(errno === ENOTSOCK ? "not a socket" : describeError(errno));
  }
  // EINVAL: it was connected, and both sides are closed by now. What was sent before still waits here.
  if (!hasPeer(fd) && libc.errno() !== EINVAL) throw refuse("the socket is not connected");
  const own = new Uint8Array(SOCKADDR.size); // its own address, since the peer's may be gone; the family is the same
  if (libc.getsockname(fd, own, [own.length]) < 0) throw refuse(describeError(libc.errno()));
  return { domain: own[SOCKADDR.family]!, type: type[0] };
}
