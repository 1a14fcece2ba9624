/**
 * Linux's error numbers (asm-generic/errno-base.h and errno.h, the same on x86-64 and arm64), with names and
 * descriptions. They belong to Linux's libc, not to the running system: Darwin's libc has its own.
 */

export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EINVAL = 22;
export const EMFILE = 24;
export const EROFS = 30;
export const EPIPE = 32;
export const EBADFD = 77;
export const ENOTSOCK = 88;
export const EMSGSIZE = 90;
export const EPROTOTYPE = 91;
export const EADDRINUSE = 98;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const ENOTCONN = 107;
export const ECONNREFUSED = 111;

const DESCRIPTIONS: ReadonlyMap<number, string> = new Map([
  [EPERM, "EPERM, not permitted"],
  [ENOENT, "ENOENT, does not exist"],
  [EINTR, "EINTR, interrupted"],
  [EIO, "EIO, input or output error"],
  [ENXIO, "ENXIO, no such device"],
  [EBADF, "EBADF, not an open descriptor"],
  [EAGAIN, "EAGAIN, would have to wait"],
  [ENOMEM, "ENOMEM, out of memory"],
  [EACCES, "EACCES, permission denied"],
  [14, "EFAULT, bad address"],
  [EBUSY, "EBUSY, in use"],
  [EEXIST, "EEXIST, exists already"],
  [ENODEV, "ENODEV, no such device"],
  [ENOTDIR, "ENOTDIR, not a directory"],
  [EINVAL, "EINVAL, invalid"],
  [23, "ENFILE, too many open files in the system"],
  [EMFILE, "EMFILE, too many open files in this process"],
  [25, "ENOTTY, not supported by this kind of file"],
  [EROFS, "EROFS, a read-only file system"],
  [EPIPE, "EPIPE, the other side is closed"],
  [38, "ENOSYS, not in this kernel"],
  [40, "ELOOP, too many symbolic links"],
  [EBADFD, "EBADFD, the device is gone"],
  [ENOTSOCK, "ENOTSOCK, not a socket"],
  [EMSGSIZE, "EMSGSIZE, too long a message"],
  [EPROTOTYPE, "EPROTOTYPE, a socket of another type"],
  [93, "EPROTONOSUPPORT, protocol not in this kernel"],
  [95, "EOPNOTSUPP, not supported"],
  [97, "EAFNOSUPPORT, address family not in this kernel"],
  [EADDRINUSE, "EADDRINUSE, address in use"],
  [100, "ENETDOWN, the network is down"],
  [ECONNABORTED, "ECONNABORTED, the other side has closed already"],
  [ECONNRESET, "ECONNRESET, reset by the other side"],
  [ENOBUFS, "ENOBUFS, no buffer space"],
  [ENOTCONN, "ENOTCONN, not connected"],
  [110, "ETIMEDOUT, timed out"],
  [ECONNREFUSED, "ECONNREFUSED, no program listens there"],
]);

/** Name and description of an error number: `ENOENT, does not exist`. */
export function describeError(errno: number): string {
  return DESCRIPTIONS.get(errno) ?? `error ${errno}`;
}
