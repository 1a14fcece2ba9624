/**
 * Darwin's error numbers (xnu, bsd/sys/errno.h), with names and descriptions. They belong to Darwin's libc, not to the
 * running system: a test's stand-in for that library returns these numbers on any system.
 */

export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EBADF = 9;
export const ENOMEM = 12;
export const EACCES = 13;
export const ENOTDIR = 20;
export const EINVAL = 22;
export const EROFS = 30;
export const EPIPE = 32;
export const EAGAIN = 35;
export const ENOTSOCK = 38;
export const EDESTADDRREQ = 39;
export const EMSGSIZE = 40;
export const EADDRINUSE = 48;
export const ENETDOWN = 50;
export const ECONNABORTED = 53;
export const ECONNRESET = 54;
export const ENOBUFS = 55;
export const ENOTCONN = 57;
export const ECONNREFUSED = 61;

const DESCRIPTIONS: ReadonlyMap<number, string> = new Map([
  [EPERM, "EPERM, not permitted"],
  [ENOENT, "ENOENT, does not exist"],
  [EINTR, "EINTR, interrupted"],
  [5, "EIO, input or output error"],
  [EBADF, "EBADF, not an open descriptor"],
  [ENOMEM, "ENOMEM, out of memory"],
  [EACCES, "EACCES, permission denied"],
  [14, "EFAULT, bad address"],
  [16, "EBUSY, in use"],
  [17, "EEXIST, exists already"],
  [ENOTDIR, "ENOTDIR, not a directory"],
  [EINVAL, "EINVAL, invalid"],
  [23, "ENFILE, too many open files in the system"],
  [24, "EMFILE, too many open files in this process"],
  [EROFS, "EROFS, a read-only file system"],
  [EPIPE, "EPIPE, the other side is closed"],
  [EAGAIN, "EAGAIN, would have to wait"],
  [ENOTSOCK, "ENOTSOCK, not a socket"],
  [EDESTADDRREQ, "EDESTADDRREQ, the other side is closed"],
  [EMSGSIZE, "EMSGSIZE, too long a message"],
  [41, "EPROTOTYPE, a socket of another type"],
  [42, "ENOPROTOOPT, no such socket option"],
  [45, "ENOTSUP, not supported"],
  [EADDRINUSE, "EADDRINUSE, address in use"],
  [ENETDOWN, "ENETDOWN, the network is down"],
  [ECONNABORTED, "ECONNABORTED, the other side has closed already"],
  [ECONNRESET, "ECONNRESET, reset by the other side"],
  [ENOBUFS, "ENOBUFS, no buffer space"],
  [ENOTCONN, "ENOTCONN, not connected"],
  [60, "ETIMEDOUT, timed out"],
  [ECONNREFUSED, "ECONNREFUSED, no program listens there"],
  [78, "ENOSYS, not in this kernel"],
  [102, "EOPNOTSUPP, not supported"],
]);

/** Name and description of an error number: `ENOENT, does not exist`. */
export function describeError(errno: number): string {
  return DESCRIPTIONS.get(errno) ?? `error ${errno}`;
}
