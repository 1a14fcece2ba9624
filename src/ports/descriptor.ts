/**
 * A descriptor that the user names on the command line: looked at before it is used, so that a wrong one is one line on
 * the terminal and not a strange error later.
 */
import { fstatSync } from "node:fs";
import { describeError, EBADF, ENOTSOCK } from "../native/linux/errno.ts";
import {
  AF_UNIX,
  F_SETFD,
  FD_CLOEXEC,
  type LinuxLibc,
  SO_DOMAIN,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SO_TYPE,
  SOL_SOCKET,
} from "../native/linux/libc.ts";
import { UserError } from "../user-error.ts";

export interface SocketKind {
  /** AF_UNIX … */
  readonly domain: number;
  /** SOCK_DGRAM … */
  readonly type: number;
}

/**
 * Domain and type of a connected socket. `option` is what the user typed (`--vm-fd`), `wanted` what belongs there.
 * Throws UserError when the descriptor is closed, is no socket, or is not connected.
 */
export function connectedSocket(libc: LinuxLibc, option: string, fd: number, wanted: string): SocketKind {
  const domain = socketOption(libc, fd, SO_DOMAIN);
  if (domain < 0) {
    const errno = libc.errno();
    if (errno === EBADF) throw new UserError(`${option} ${fd}: this descriptor is not open; pass ${wanted}`);
    if (errno === ENOTSOCK) throw new UserError(`${option} ${fd}: not a socket; pass ${wanted}`);
    throw new UserError(`${option} ${fd}: ${describeError(errno)}; pass ${wanted}`);
  }
  const type = socketOption(libc, fd, SO_TYPE);
  if (libc.getpeername(fd, new Uint8Array(128), [128]) < 0) {
    throw new UserError(`${option} ${fd}: the socket is not connected; pass ${wanted}`);
  }
  return { domain, type };
}

/** Programs that softnet starts must not inherit a copy: then closing would go unnoticed at the other end. */
export function closeOnExec(libc: LinuxLibc, fd: number): void {
  if (fd > 2) libc.fcntl(fd, F_SETFD, "int", FD_CLOEXEC);
}

/** The inode of an open descriptor: a socket's own number. */
export function inodeOf(fd: number): number {
  return fstatSync(fd).ino;
}

/**
 * Makes a unix socket's send buffer at least `size` bytes, as far as the kernel lets us: root past net.core.wmem_max. On
 * Linux the sender's buffer, not the receiver's, bounds how many frames can wait for the other end. TCP sizes its own.
 */
export function growSendBuffer(libc: LinuxLibc, fd: number, size: number): void {
  // The kernel answers twice what was set: it counts its own bookkeeping (socket(7)).
  if (socketOption(libc, fd, SO_DOMAIN) !== AF_UNIX || socketOption(libc, fd, SO_SNDBUF) >= 2 * size) return;
  if (libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, [size], 4) < 0) {
    libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, [size], 4);
  }
}

/** An integer option of a socket, or -1 with errno set. */
function socketOption(libc: LinuxLibc, fd: number, name: number): number {
  const value: [number] = [0];
  return libc.getsockopt(fd, SOL_SOCKET, name, value, [4]) < 0 ? -1 : value[0];
}
