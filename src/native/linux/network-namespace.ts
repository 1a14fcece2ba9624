/** A unique name of this process's network namespace. */
import { statSync } from "node:fs";
import { describeError } from "./errno.ts";
import { AF_UNIX, type LinuxLibc, SO_NETNS_COOKIE, SOCK_CLOEXEC, SOCK_DGRAM, SOL_SOCKET } from "./libc.ts";

/** The inode's number may be reused as soon as its namespace is gone, so the kernel's cookie is added. */
export function networkNamespace(libc: LinuxLibc): string {
  const inode = statSync("/proc/self/ns/net").ino;
  const cookie = namespaceCookie(libc);
  return `network namespace ${inode}${cookie === undefined ? "" : ` (${cookie})`}`;
}

/** undefined before Linux 5.14. */
function namespaceCookie(libc: LinuxLibc): bigint | undefined {
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new Error(`cannot make a socket: ${describeError(libc.errno())}`);
  const value = Buffer.alloc(8);
  const known = libc.getsockoptBytes(fd, SOL_SOCKET, SO_NETNS_COOKIE, value, [value.length]) === 0;
  libc.close(fd);
  return known ? value.readBigUInt64LE() : undefined;
}
