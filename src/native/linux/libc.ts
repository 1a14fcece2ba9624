/**
 * The C library of 64-bit Linux (glibc or musl: the one that Node itself uses), with its constants and struct layouts.
 * Every function is declared here and nowhere else.
 *
 * Addresses used in loops are numbers (see ../memory.ts). For rare calls a parameter is a Uint8Array or a one-element
 * array, and koffi passes its address. A function that fails returns -1; `errno()` right after it returns the reason.
 */
import { endianness } from "node:os";
import koffi from "koffi";

export interface LinuxLibc {
  /** The error number of the last call that failed; to be called right after it. */
  errno(): number;

  read(fd: number, address: number, size: number): number;
  write(fd: number, address: number, size: number): number;
  recv(fd: number, address: number, size: number, flags: number): number;
  send(fd: number, address: number, size: number, flags: number): number;
  sendmsg(fd: number, header: number, flags: number): number;
  recvmsg(fd: number, header: number, flags: number): number;
  /** `timeout` is an address too: 0 for none. */
  recvmmsg(fd: number, headers: number, count: number, flags: number, timeout: number): number;
  sendmmsg(fd: number, headers: number, count: number, flags: number): number;
  clock_gettime(clock: number, timespec: number): number;

  /** `descriptors`: struct pollfd, one after the other; `timeout` in milliseconds. Returns how many are ready. */
  poll(descriptors: Uint8Array, count: number, timeout: number): number;
  open(path: string, flags: number): number;
  close(fd: number): number;
  socket(domain: number, type: number, protocol: number): number;
  /** Two sockets that are connected to each other. */
  socketpair(domain: number, type: number, protocol: number, descriptors: Int32Array): number;
  connect(fd: number, address: Uint8Array, size: number): number;
  bind(fd: number, address: Uint8Array, size: number): number;
  listen(fd: number, backlog: number): number;
  shutdown(fd: number, how: number): number;
  /** The peer's address is not requested: `address` and `size` are null. */
  accept4(fd: number, address: null, size: null, flags: number): number;
  flock(fd: number, operation: number): number;
  getsockopt(fd: number, level: number, name: number, value: [number], size: [number]): number;
  setsockopt(fd: number, level: number, name: number, value: [number], size: number): number;
  getpeername(fd: number, address: Uint8Array, size: [number]): number;
  timerfd_create(clock: number, flags: number): number;
  /** `value`: a struct itimerspec. */
  timerfd_settime(fd: number, flags: number, value: Uint8Array, before: null): number;
  /** 0 when there is no such interface. */
  if_nametoindex(name: string): number;
  /** `name`: IF_NAMESIZE (16) bytes. Null when there is no such interface. */
  if_indextoname(index: number, name: Uint8Array): unknown;
  /** Variadic: the argument's C type comes before its value. */
  ioctl(fd: number, request: number, type: "void *", argument: Uint8Array): number;
  ioctl(fd: number, request: number, type: "unsigned long", argument: number): number;
  /** bpf(2), for which the C library has no function; variadic, as `syscall` is. */
  bpf(command: number, attributes: Uint8Array): number;
  /** capset(2) for the calling thread; `header` and `data` as linux/capability.h has them. */
  capset(header: Uint8Array, data: Uint8Array): number;
  /** Variadic: the argument's C type comes before its value. */
  fcntl(fd: number, command: number, type: "int", argument: number): number;
  /** fcntl with a struct flock, which F_OFD_GETLK overwrites. */
  fcntlLock(fd: number, command: number, lock: Uint8Array): number;
  /** getsockopt for values that are no int. */
  getsockoptBytes(fd: number, level: number, name: number, value: Uint8Array, size: [number]): number;
  /** setsockopt for values that are no int. */
  setsockoptBytes(fd: number, level: number, name: number, value: Uint8Array, size: number): number;

  /** Returns an address, or all bits set. */
  mmap(at: null, size: number, protection: number, flags: number, fd: number, offset: number): bigint | null;
  munmap(address: bigint, size: number): number;
  dup2(from: number, to: number): number;
  /** Replaces the process; returns only when it cannot. Both lists end with null. */
  execve(path: string, args: readonly (string | null)[], environment: readonly (string | null)[]): number;
  /** `limits`: the soft and the hard one. */
  setrlimit(resource: number, limits: BigUint64Array): number;
  /** Variadic in the manual only: the system call has four more arguments. */
  prctl(option: number, a: number, b: number, c: number, d: number): number;
  /** Address of a struct passwd or group that the next call overwrites; null when there is none. */
  getpwnam(name: string): bigint | null;
  getpwuid(uid: number): bigint | null;
  getgrnam(name: string): bigint | null;
  getgrgid(gid: number): bigint | null;
  /** Returns -1, and how many there are in `count`, when they are more than that. */
  getgrouplist(user: string, gid: number, groups: Uint32Array, count: [number]): number;
}

/** Declares the functions. Throws on a system with other layouts. */
export function loadLibc(): LinuxLibc {
  if (koffi.sizeof("void *") !== 8 || endianness() !== "LE")
    throw new Error("softnet needs 64-bit little-endian Linux");
  const library = koffi.load(null); // Node's own process, which has its C library loaded: no file name to guess
  const declare = (prototype: string): never => library.func(prototype) as never;
  const syscall = library.func("long syscall(long number, ...)") as (...values: unknown[]) => number;
  const fcntl: LinuxLibc["fcntl"] = declare("int fcntl(int fd, int command, ...)");
  return {
    errno: () => koffi.errno(),

    read: declare("intptr_t read(int fd, uintptr_t buffer, size_t size)"),
    write: declare("intptr_t write(int fd, uintptr_t buffer, size_t size)"),
    recv: declare("intptr_t recv(int fd, uintptr_t buffer, size_t size, int flags)"),
    send: declare("intptr_t send(int fd, uintptr_t buffer, size_t size, int flags)"),
    sendmsg: declare("intptr_t sendmsg(int fd, uintptr_t header, int flags)"),
    recvmsg: declare("intptr_t recvmsg(int fd, uintptr_t header, int flags)"),
    recvmmsg: declare("int recvmmsg(int fd, uintptr_t headers, unsigned int count, int flags, uintptr_t timeout)"),
    sendmmsg: declare("int sendmmsg(int fd, uintptr_t headers, unsigned int count, int flags)"),
    clock_gettime: declare("int clock_gettime(int clock, uintptr_t timespec)"),

    poll: declare("int poll(void *descriptors, unsigned long count, int timeout)"),
    open: declare("int open(str path, int flags, ...)"),
    close: declare("int close(int fd)"),
    socket: declare("int socket(int domain, int type, int protocol)"),
    socketpair: declare("int socketpair(int domain, int type, int protocol, int32_t *descriptors)"),
    connect: declare("int connect(int fd, void *address, uint32_t size)"),
    bind: declare("int bind(int fd, void *address, uint32_t size)"),
    listen: declare("int listen(int fd, int backlog)"),
    shutdown: declare("int shutdown(int fd, int how)"),
    accept4: declare("int accept4(int fd, void *address, void *size, int flags)"),
    flock: declare("int flock(int fd, int operation)"),
    getsockopt: declare("int getsockopt(int fd, int level, int name, _Out_ int *value, _Inout_ uint32_t *size)"),
    setsockopt: declare("int setsockopt(int fd, int level, int name, int *value, uint32_t size)"),
    getpeername: declare("int getpeername(int fd, void *address, _Inout_ uint32_t *size)"),
    timerfd_create: declare("int timerfd_create(int clock, int flags)"),
    timerfd_settime: declare("int timerfd_settime(int fd, int flags, void *value, void *before)"),
    if_nametoindex: declare("unsigned int if_nametoindex(str name)"),
    if_indextoname: declare("void *if_indextoname(unsigned int index, void *name)"),
    ioctl: declare("int ioctl(int fd, unsigned long request, ...)"),
    bpf: (command, attributes) =>
      syscall(SYS_BPF, "int", command, "void *", attributes, "unsigned int", attributes.length),
    capset: (header, data) => syscall(SYS_CAPSET, "void *", header, "void *", data),
    fcntl,
    fcntlLock: (fd, command, lock) => (fcntl as (...values: unknown[]) => number)(fd, command, "void *", lock),
    getsockoptBytes: declare("int getsockopt(int fd, int level, int name, void *value, _Inout_ uint32_t *size)"),
    setsockoptBytes: declare("int setsockopt(int fd, int level, int name, void *value, uint32_t size)"),

    mmap: declare("void *mmap(void *at, size_t size, int protection, int flags, int fd, int64_t offset)"),
    munmap: declare("int munmap(void *address, size_t size)"),
    dup2: declare("int dup2(int from, int to)"),
    execve: declare("int execve(str path, str *args, str *environment)"),
    setrlimit: declare("int setrlimit(int resource, uint64_t *limits)"),
    prctl: declare("int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)"),
    getpwnam: declare("void *getpwnam(str name)"),
    getpwuid: declare("void *getpwuid(uint32_t uid)"),
    getgrnam: declare("void *getgrnam(str name)"),
    getgrgid: declare("void *getgrgid(uint32_t gid)"),
    getgrouplist: declare("int getgrouplist(str user, uint32_t gid, uint32_t *groups, _Inout_ int *count)"),
  };
}

/** Numbers of system calls differ between architectures (asm/unistd.h). */
const SYS_BPF = process.arch === "arm64" ? 280 : 321;
const SYS_CAPSET = process.arch === "arm64" ? 91 : 126;

// sys/mman.h
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;

// fcntl.h
export const O_RDWR = 0x2;
export const O_NONBLOCK = 0x800;
export const O_CLOEXEC = 0x80000;
export const F_DUPFD = 0;
export const F_SETFD = 2;
export const F_DUPFD_CLOEXEC = 1030;
export const FD_CLOEXEC = 1;

/** Locks of the open file description (fcntl(2)): F_RDLCK needs a descriptor for reading, F_WRLCK one for writing. */
export const F_OFD_GETLK = 36;
export const F_OFD_SETLK = 37;
export const F_RDLCK = 0;
export const F_WRLCK = 1;
export const F_UNLCK = 2;

/** struct flock: type and whence (2 bytes each), start and length (8 each), the holder's process id (4). */
export const FLOCK = { size: 32, type: 0, start: 8, length: 16 } as const;

// sys/file.h
export const LOCK_EX = 2;
export const LOCK_NB = 4;

// sys/resource.h, asm-generic/resource.h
export const RLIM_INFINITY = 0xffffffffffffffffn;
export const RLIMIT = {
  cpu: 0,
  fileSize: 1,
  data: 2,
  processes: 6,
  files: 7,
  addressSpace: 9,
  pendingSignals: 11,
} as const;

// linux/prctl.h
export const PR_SET_PDEATHSIG = 1;
export const PR_GET_DUMPABLE = 3;
export const PR_SET_DUMPABLE = 4;
export const PR_SET_KEEPCAPS = 8;
export const PR_CAPBSET_DROP = 24;
export const PR_SET_NAME = 15;
export const PR_SET_NO_NEW_PRIVS = 38;
export const PR_CAP_AMBIENT = 47;
export const PR_CAP_AMBIENT_RAISE = 2;

/** struct passwd and struct group: two strings, then the numbers. */
export const PASSWD = { size: 24, name: 0, uid: 16, gid: 20 } as const;
export const GROUP = { size: 24, name: 0, gid: 16 } as const;

// sys/socket.h
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0x800;
export const SOCK_CLOEXEC = 0x80000;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const SHUT_RD = 0;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_SNDBUF = 7;
export const SO_PEERCRED = 17;
export const SO_ACCEPTCONN = 30;
export const SO_ATTACH_FILTER = 26;
export const SO_SNDBUFFORCE = 32;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;
/** Since Linux 5.14: 8 bytes that identify the socket's network namespace, unique until the next boot. */
export const SO_NETNS_COOKIE = 71;

// time.h: time since boot that goes on while the machine sleeps, as lease times do
export const CLOCK_BOOTTIME = 7;

/** timerfd_create(2). */
export const TFD_NONBLOCK = 0o4000;
export const TFD_CLOEXEC = 0o2000000;

/** struct itimerspec: the interval, then the time to the first expiry, each a struct timespec. */
export const ITIMERSPEC = { size: 32, seconds: 16, nanoseconds: 24 } as const;

/** struct timespec: seconds and nanoseconds, 8 bytes each. */
export const TIMESPEC = { size: 16, seconds: 0, nanoseconds: 8 } as const;

/** struct pollfd: descriptor (4 bytes), wanted events (2), found events (2). */
export const POLLFD = { size: 8, events: 4, found: 6 } as const;
export const POLLOUT = 0x4;
export const POLLHUP = 0x10;

/** struct iovec: address and length. */
export { IOVEC } from "../iovec.ts";

/** struct msghdr of a connected socket: the vector, and ancillary data such as descriptors. */
export const MSGHDR = { size: 56, iov: 16, iovlen: 24, control: 32, controlLength: 40 } as const;

/** struct cmsghdr with one descriptor behind it (SCM_RIGHTS, unix(7)). */
export const CMSG_DESCRIPTOR = { size: 24, length: 0, level: 8, type: 12, descriptor: 16 } as const;
export const SCM_RIGHTS = 1;
export const MSG_CMSG_CLOEXEC = 0x40000000;

/** struct ucred of SO_PEERCRED: process, user, group, 4 bytes each. */
export const UCRED = { size: 12, pid: 0, uid: 4 } as const;

/** struct mmsghdr: a msghdr, then how many bytes were received. */
export const MMSGHDR = { size: 64, length: 56 } as const;

/** struct sockaddr_un: the family (2 bytes), then the path and its final zero byte in 108 bytes. */
export const SOCKADDR_UN = { path: 2, pathSize: 108 } as const;

/** struct sockaddr_nl: the family (2 bytes), padding (2), the port (4), which groups to hear (4). */
export const SOCKADDR_NL = { size: 12, groups: 8 } as const;

/** struct sock_fprog: how many instructions (2 bytes), then where they are; struct sock_filter (linux/filter.h). */
export const SOCK_FPROG = { size: 16, filter: 8 } as const;
export const SOCK_FILTER = { size: 8, yes: 2, no: 3, value: 4 } as const;
export const BPF_LOAD_WORD = 0x20;
export const BPF_JUMP_EQUAL = 0x15;
export const BPF_RETURN = 0x06;

/** struct ifreq: the interface's name with its final zero byte, then a union. */
export const IFREQ = { size: 40, nameSize: 16, flags: 16, hardwareFamily: 16, hardwareAddress: 18 } as const;

// linux/if_tun.h, linux/sockios.h, linux/if_arp.h
export const TUNSETIFF = 0x400454ca;
/** The argument of TUNSETOFFLOAD is a number; of the other two it points to an int. */
export const TUNSETOFFLOAD = 0x400454d0;
export const TUNSETVNETHDRSZ = 0x400454d8;
export const TUNSETVNETLE = 0x400454dc;
export const TUN_F_CSUM = 0x1;
export const TUN_F_TSO4 = 0x2;
export const TUN_F_TSO6 = 0x4;
export const TUN_F_TSO_ECN = 0x8;
/** Since Linux 6.2, and only both at once. */
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;
/** Before TUNSETIFF: the number that the interface shall have. */
export const TUNSETIFINDEX = 0x400454da;
export const IFF_TAP = 0x2;
export const IFF_NO_PI = 0x1000;
export const IFF_VNET_HDR = 0x4000;
export const IFF_TUN_EXCL = 0x8000;
export const SIOCSIFHWADDR = 0x8924;
export const ARPHRD_ETHER = 1;
