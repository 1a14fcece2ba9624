/** The unix socket of a host's helper, by its path. */
import {
  AF_UNIX,
  type LinuxLibc,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOCKADDR_UN,
} from "../native/linux/libc.ts";

/** Returns the connection's descriptor, or undefined where no helper listens. */
export function connect(libc: LinuxLibc, path: string): number | undefined {
  const fd = openSocket(libc);
  if (fd < 0) return undefined;
  const address = unixAddress(path);
  if (libc.connect(fd, address, address.length) === 0) return fd;
  libc.close(fd);
  return undefined;
}

/** Returns a descriptor, or a negative number (libc.errno()). */
export function openSocket(libc: LinuxLibc): number {
  return libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/** struct sockaddr_un (unix(7)). */
export function unixAddress(path: string): Uint8Array {
  const bytes = Buffer.from(`${path}\0`);
  const address = Buffer.alloc(SOCKADDR_UN.path + bytes.length);
  address.writeUInt16LE(AF_UNIX);
  bytes.copy(address, SOCKADDR_UN.path);
  return address;
}
