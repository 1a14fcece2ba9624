/**
 * Reserves the host's TCP ports that softnet exposes: a socket bound to each, on every address, that does not listen.
 * Whoever listens there already, and another softnet that exposes it, makes that fail; whoever comes later fails himself.
 * The kernel gives the ports back with the process, however that ends.
 *
 * Connections of an earlier listener that are in TIME_WAIT (RFC 9293, 3.3.2) do not stand in the way: that needs
 * SO_REUSEADDR (socket(7)). But two sockets that have it may both be bound as long as neither listens, and then nothing
 * would be reserved. So the socket listens for a moment: for that the kernel wants the port for this socket alone
 * (inet_csk_listen_start in net/ipv4). Then it gives up SO_REUSEADDR, so that nobody shares the port with it, and stops
 * to listen. It keeps the port, and who connects past softnet's rules is refused by the kernel as on an unused port.
 */
import { describeError, EACCES, EADDRINUSE, EMFILE } from "../../native/linux/errno.ts";
import {
  AF_INET,
  AF_INET6,
  type LinuxLibc,
  SHUT_RD,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../../native/linux/libc.ts";
import { UserError } from "../../user-error.ts";
import type { Exposure } from "../exposures.ts";

/** struct sockaddr_in and sockaddr_in6: family in host order, port and address in network order; address 0 is every one. */
const SOCKADDR = { family: 0, port: 2 } as const;
const SOCKADDR_SIZES = { [AF_INET]: 16, [AF_INET6]: 28 } as const;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

type Family = typeof AF_INET | typeof AF_INET6;

/** Returns the descriptors, to be closed when the ports are free again. Throws UserError when one is taken. */
export function reservePorts(libc: LinuxLibc, exposures: readonly Exposure[], ipv6 = false): number[] {
  const descriptors: number[] = [];
  try {
    for (const { external } of exposures) {
      descriptors.push(reserve(libc, external, AF_INET));
      if (ipv6) descriptors.push(reserve(libc, external, AF_INET6));
    }
  } catch (error) {
    for (const fd of descriptors) libc.close(fd);
    throw error;
  }
  return descriptors;
}

function reserve(libc: LinuxLibc, port: number, family: Family): number {
  const fd = libc.socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new UserError(`--expose: no socket for port ${port}: ${socketError(libc.errno())}`);
  if (take(libc, fd, port, family)) return fd;
  const errno = libc.errno();
  libc.close(fd);
  throw new UserError(`--expose: port ${port} cannot be exposed: ${bindError(errno)}`);
}

/** False when the port cannot be had; `errno` says why. */
function take(libc: LinuxLibc, fd: number, port: number, family: Family): boolean {
  const size = SOCKADDR_SIZES[family];
  const address = new DataView(new ArrayBuffer(size));
  address.setUint16(SOCKADDR.family, family, true);
  address.setUint16(SOCKADDR.port, port);
  return (
    (family === AF_INET || libc.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, [1], 4) === 0) &&
    libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, [1], 4) === 0 &&
    libc.bind(fd, new Uint8Array(address.buffer), size) === 0 &&
    libc.listen(fd, 0) === 0 &&
    libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, [0], 4) === 0 &&
    libc.shutdown(fd, SHUT_RD) === 0
  );
}

function socketError(errno: number): string {
  return errno === EMFILE ? `${describeError(errno)}; raise the limit (ulimit -n)` : describeError(errno);
}

function bindError(errno: number): string {
  if (errno === EADDRINUSE) return "something on this host uses it, or another softnet exposes it; expose another";
  if (errno === EACCES) return "ports below 1024 need root; expose a higher one";
  return describeError(errno);
}
