/**
 * Darwin's C library (libSystem), with the constants and struct layouts that go with it (xnu, bsd/sys; the batch calls:
 * bsd/sys/socket_private.h). Every function of it that softnet calls is declared here and nowhere else; what else is in
 * libSystem has files of its own (dispatch.ts, xpc.ts, blocks.ts).
 *
 * Addresses used in loops are numbers (see ../memory.ts). A function that fails returns -1; `errno()` right after it
 * returns the reason, in Darwin's numbers (errno.ts).
 *
 * fcntl and syslog are variadic, and must be declared so: on Apple silicon a variadic argument goes to the stack, where
 * a function that is declared otherwise would not find it.
 */
import koffi from "koffi";

/** Its path on Darwin. It is in the dyld shared cache, so the file need not exist. */
export const LIBSYSTEM = "/usr/lib/libSystem.B.dylib";

export interface DarwinLibc {
  /** The error number of the last call that failed; to be called right after it. */
  errno(): number;

  recv(fd: number, address: number, size: number, flags: number): number;
  send(fd: number, address: number, size: number, flags: number): number;
  /** `header`: address of a struct msghdr. */
  sendmsg(fd: number, header: number, flags: number): number;
  /** Private interface; `headers`: struct msghdr_x, one after the other. Returns how many datagrams. */
  recvmsg_x(fd: number, headers: number, count: number, flags: number): number;
  sendmsg_x(fd: number, headers: number, count: number, flags: number): number;
  /** `address` and `size` (4 bytes) are addresses of the values to overwrite. */
  getpeername(fd: number, address: number, size: number): number;
  /** Ticks since boot, including sleep. A bigint from 2^53 on. */
  mach_continuous_time(): number | bigint;

  /** Nanoseconds of a tick as numerator and denominator. Returns 0. */
  mach_timebase_info(ratio: Uint32Array): number;
  getsockopt(fd: number, level: number, name: number, value: [number], size: [number]): number;
  setsockopt(fd: number, level: number, name: number, value: [number], size: number): number;
  /** `descriptors`: struct pollfd, one after the other; `timeout` in milliseconds. Returns how many are ready. */
  poll(descriptors: Uint8Array, count: number, timeout: number): number;
  close(fd: number): number;
  socket(domain: number, type: number, protocol: number): number;
  connect(fd: number, address: Uint8Array, size: number): number;
  bind(fd: number, address: Uint8Array, size: number): number;
  listen(fd: number, backlog: number): number;
  /** The peer's address is not requested: `address` and `size` are null. */
  accept(fd: number, address: null, size: null): number;
  getsockname(fd: number, address: Uint8Array, size: [number]): number;
  flock(fd: number, operation: number): number;
  /** Variadic: the argument's C type comes before its value. */
  fcntl(fd: number, command: number, type: "int", argument: number): number;
  /** `identity` is the address of a C string that is kept. */
  openlog(identity: number, options: number, facility: number): void;
  /** Variadic. */
  syslog(priority: number, format: "%s", type: "str", message: string): void;

  dup2(from: number, to: number): number;
  /** Replaces the process; returns only when it cannot. Both lists end with null. */
  execve(path: string, args: readonly (string | null)[], environment: readonly (string | null)[]): number;
  /** Address of a struct passwd or group that the next call overwrites; null when there is none. */
  getpwnam(name: string): bigint | null;
  getpwuid(uid: number): bigint | null;
  getgrnam(name: string): bigint | null;
  getgrgid(gid: number): bigint | null;
  /** Returns -1 when there are more than `count`. */
  getgrouplist(user: string, gid: number, groups: Uint32Array, count: [number]): number;
}

/** Declares the functions. Throws when there is no such library, or a function is missing. */
export function loadDarwinLibc(path: string = LIBSYSTEM): DarwinLibc {
  const library = koffi.load(path);
  const declare = (prototype: string): never => library.func(prototype) as never;
  return {
    errno: () => koffi.errno(),

    recv: declare("intptr_t recv(int fd, uintptr_t buffer, size_t size, int flags)"),
    send: declare("intptr_t send(int fd, uintptr_t buffer, size_t size, int flags)"),
    sendmsg: declare("intptr_t sendmsg(int fd, uintptr_t header, int flags)"),
    recvmsg_x: declare("intptr_t recvmsg_x(int fd, uintptr_t headers, unsigned int count, int flags)"),
    sendmsg_x: declare("intptr_t sendmsg_x(int fd, uintptr_t headers, unsigned int count, int flags)"),
    getpeername: declare("int getpeername(int fd, uintptr_t address, uintptr_t size)"),
    mach_continuous_time: declare("uint64_t mach_continuous_time()"),

    mach_timebase_info: declare("int mach_timebase_info(void *ratio)"),
    getsockopt: declare("int getsockopt(int fd, int level, int name, _Out_ int *value, _Inout_ uint32_t *size)"),
    setsockopt: declare("int setsockopt(int fd, int level, int name, int *value, uint32_t size)"),
    poll: declare("int poll(void *descriptors, unsigned int count, int timeout)"),
    close: declare("int close(int fd)"),
    socket: declare("int socket(int domain, int type, int protocol)"),
    connect: declare("int connect(int fd, void *address, uint32_t size)"),
    bind: declare("int bind(int fd, void *address, uint32_t size)"),
    listen: declare("int listen(int fd, int backlog)"),
    accept: declare("int accept(int fd, void *address, void *size)"),
    getsockname: declare("int getsockname(int fd, void *address, _Inout_ uint32_t *size)"),
    flock: declare("int flock(int fd, int operation)"),
    fcntl: declare("int fcntl(int fd, int command, ...)"),
    openlog: declare("void openlog(uintptr_t identity, int options, int facility)"),
    syslog: declare("void syslog(int priority, str format, ...)"),

    dup2: declare("int dup2(int from, int to)"),
    execve: declare("int execve(str path, str *args, str *environment)"),
    getpwnam: declare("void *getpwnam(str name)"),
    getpwuid: declare("void *getpwuid(uint32_t uid)"),
    getgrnam: declare("void *getgrnam(str name)"),
    getgrgid: declare("void *getgrgid(uint32_t gid)"),
    getgrouplist: declare("int getgrouplist(str user, int gid, int *groups, _Inout_ int *count)"),
  };
}

// sys/fcntl.h
export const F_SETFD = 2;
export const F_DUPFD_CLOEXEC = 67;
export const FD_CLOEXEC = 1;

// sys/file.h
export const LOCK_EX = 2;
export const LOCK_NB = 4;

// sys/socket.h
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 30;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const MSG_DONTWAIT = 0x80;
export const SOL_SOCKET = 0xffff;
export const SO_SNDBUF = 0x1001;
export const SO_RCVBUF = 0x1002;
export const SO_TYPE = 0x1008;
export const SO_NOSIGPIPE = 0x1022;

// sys/poll.h
export const POLLOUT = 0x4;

// syslog.h
export const LOG_PID = 1;
export const LOG_DAEMON = 3 << 3;
export const LOG_ERR = 3;
export const LOG_WARNING = 4;
export const LOG_NOTICE = 5;
export const LOG_DEBUG = 7;

/** struct sockaddr begins with its length (1 byte) and the family (1 byte). */
export const SOCKADDR = { size: 128, family: 1 } as const;

/** struct sockaddr_un: length and family, then the path and its final zero byte in 104 bytes. */
export const SOCKADDR_UN = { path: 2, pathSize: 104 } as const;

/** struct pollfd: descriptor (4 bytes), wanted events (2), found events (2). */
export const POLLFD = { size: 8, events: 4, found: 6 } as const;

/** struct iovec: address and length. */
export { IOVEC } from "../iovec.ts";

/** struct msghdr_x: a msghdr, then how many bytes were received. */
export const MSGHDR_X = {
  size: 56,
  name: 0,
  nameLength: 8,
  iov: 16,
  iovlen: 24,
  control: 32,
  controlLength: 40,
  flags: 44,
  length: 48,
} as const;

/** struct passwd and struct group: two strings, then the numbers. */
export const PASSWD = { size: 72, name: 0, uid: 16, gid: 20 } as const;
export const GROUP = { size: 32, name: 0, gid: 16 } as const;
