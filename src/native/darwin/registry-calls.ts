/**
 * Functions of Darwin's C library for the registry of bindings, beside libc.ts: locks of an open file description, and
 * the boot's id (xnu, bsd/sys/fcntl.h and bsd/kern/kern_sysctl.c).
 */
import koffi from "koffi";
import { LIBSYSTEM } from "./libc.ts";

export interface RegistryCalls {
  /** The error number of the last call that failed; to be called right after it. */
  errno(): number;
  /** fcntl with a struct flock, which F_OFD_GETLK overwrites. */
  fcntlLock(fd: number, command: number, lock: Uint8Array): number;
  /** Reads into `value`, of `size` bytes; nothing is set. */
  sysctlbyname(name: string, value: Uint8Array, size: [number | bigint]): number;
}

export function loadRegistryCalls(path: string = LIBSYSTEM): RegistryCalls {
  const library = koffi.load(path);
  const fcntl = library.func("int fcntl(int fd, int command, ...)") as (...values: unknown[]) => number;
  const sysctlbyname = library.func(
    "int sysctlbyname(str name, void *value, _Inout_ size_t *size, void *set, size_t setSize)",
  ) as (...values: unknown[]) => number;
  return {
    errno: () => koffi.errno(),
    fcntlLock: (fd, command, lock) => fcntl(fd, command, "void *", lock),
    sysctlbyname: (name, value, size) => sysctlbyname(name, value, size, null, 0),
  };
}

// sys/fcntl.h
export const F_OFD_SETLK = 90;
export const F_OFD_GETLK = 92;
export const F_RDLCK = 1;
export const F_UNLCK = 2;
export const F_WRLCK = 3;

/** struct flock: start and length (8 bytes each), the holder's process id (4), type and whence (2 each). */
export const FLOCK = { size: 24, start: 0, length: 8, type: 20 } as const;

/** A UUID as text with a final zero byte; new with each boot. */
export const BOOT_ID = "kern.bootsessionuuid";
