/**
 * Reserves a subnet, so that two softnets that start at the same instant never take the same one: each sees the other's
 * address only once it is set. The reservation is an abstract unix socket with the subnet's name. Of one name there is
 * one in a network namespace, and the kernel removes it with its process, however that ends (unix(7)).
 */
import { describeError, EADDRINUSE } from "../../native/linux/errno.ts";
import { AF_UNIX, type LinuxLibc, SOCK_CLOEXEC, SOCK_DGRAM, SOCKADDR_UN } from "../../native/linux/libc.ts";
import { type Cidr, formatCidr } from "../../policy/rule.ts";

/** Answers the reservation's descriptor, to be closed when the subnet is free again; undefined when another has it. */
export function reserveSubnet(libc: LinuxLibc, subnet: Cidr): number | undefined {
  const name = Buffer.from(`\0softnet-${formatCidr(subnet)}`); // abstract: the name begins with a zero byte
  const address = Buffer.alloc(SOCKADDR_UN.path + name.length);
  address.writeUInt16LE(AF_UNIX);
  name.copy(address, SOCKADDR_UN.path);
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new Error(`cannot reserve ${formatCidr(subnet)}: ${describeError(libc.errno())}`);
  if (libc.bind(fd, address, address.length) === 0) return fd;
  const errno = libc.errno();
  libc.close(fd);
  if (errno === EADDRINUSE) return undefined;
  throw new Error(`cannot reserve ${formatCidr(subnet)}: ${describeError(errno)}`);
}
