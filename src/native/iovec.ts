/** struct iovec (POSIX, sys/uio.h): where a piece begins, and its length; the same on every 64-bit system. */
export const IOVEC = { size: 16, base: 0, length: 8 } as const;
