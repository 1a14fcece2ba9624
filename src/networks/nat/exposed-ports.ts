/**
 * Reserves the host's TCP ports that softnet exposes: a socket bound to each, on every address, that never listens.
 * Whoever listens there already, and another softnet that exposes it, makes the bind fail; whoever comes later fails
 * itself. The kernel gives the ports back with the process, however that ends.
 */
import { describeError, EACCES, EADDRINUSE } from "../../native/linux/errno.ts";
import { AF_INET, type LinuxLibc, SOCK_CLOEXEC, SOCK_STREAM } from "../../native/linux/libc.ts";
import { UserError } from "../../user-error.ts";
import type { Exposure } from "./expose.ts";

/** struct sockaddr_in: family in host order, port and address in network order; address 0 is every one. */
const SOCKADDR_IN = { size: 16, family: 0, port: 2 } as const;

/** Answers the descriptors, to be closed when the ports are free again. Throws UserError when one is taken. */
export function reservePorts(libc: LinuxLibc, exposures: readonly Exposure[]): number[] {
  const descriptors: number[] = [];
  try {
    for (const { external } of exposures) descriptors.push(reserve(libc, external));
  } catch (error) {
    for (const fd of descriptors) libc.close(fd);
    throw error;
  }
  return descriptors;
}

function reserve(libc: LinuxLibc, port: number): number {
  const address = new DataView(new ArrayBuffer(SOCKADDR_IN.size));
  address.setUint16(SOCKADDR_IN.family, AF_INET, true);
  address.setUint16(SOCKADDR_IN.port, port);
  const fd = libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new UserError(`--expose: no socket for port ${port}: ${describeError(libc.errno())}`);
  if (libc.bind(fd, new Uint8Array(address.buffer), SOCKADDR_IN.size) === 0) return fd;
  const errno = libc.errno();
  libc.close(fd);
  throw new UserError(`--expose: port ${port} cannot be exposed: ${bindError(errno)}`);
}

function bindError(errno: number): string {
  if (errno === EADDRINUSE) return "something on this host uses it, or another softnet exposes it; expose another";
  if (errno === EACCES) return "ports below 1024 need root; expose a higher one";
  return describeError(errno);
}
