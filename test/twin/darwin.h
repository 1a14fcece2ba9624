/*
 * Darwin's numbers and structures where they differ from Linux' (macos.md sections 4 and 5; xnu bsd/sys/errno.h, fcntl.h,
 * socket.h, socket_private.h, event.h, poll.h). Names begin with DARWIN_ since the same headers have Linux' as well.
 */
#ifndef TWIN_DARWIN_H
#define TWIN_DARWIN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "rules.h"

#define DARWIN_ERRNOS(E) \
	E(EPERM, 1) E(ENOENT, 2) E(ESRCH, 3) E(EINTR, 4) E(EIO, 5) E(ENXIO, 6) E(E2BIG, 7) E(EBADF, 9) E(ECHILD, 10) \
	E(EDEADLK, 11) E(ENOMEM, 12) E(EACCES, 13) E(EFAULT, 14) E(EBUSY, 16) E(EEXIST, 17) E(EXDEV, 18) E(ENODEV, 19) \
	E(ENOTDIR, 20) E(EISDIR, 21) E(EINVAL, 22) E(ENFILE, 23) E(EMFILE, 24) E(ENOTTY, 25) E(EFBIG, 27) E(ENOSPC, 28) \
	E(ESPIPE, 29) E(EROFS, 30) E(EMLINK, 31) E(EPIPE, 32) E(EDOM, 33) E(ERANGE, 34) E(EAGAIN, 35) E(EINPROGRESS, 36) \
	E(EALREADY, 37) E(ENOTSOCK, 38) E(EDESTADDRREQ, 39) E(EMSGSIZE, 40) E(EPROTOTYPE, 41) E(ENOPROTOOPT, 42) \
	E(EPROTONOSUPPORT, 43) E(ESOCKTNOSUPPORT, 44) E(EPFNOSUPPORT, 46) E(EAFNOSUPPORT, 47) E(EADDRINUSE, 48) \
	E(EADDRNOTAVAIL, 49) E(ENETDOWN, 50) E(ENETUNREACH, 51) E(ENETRESET, 52) E(ECONNABORTED, 53) E(ECONNRESET, 54) \
	E(ENOBUFS, 55) E(EISCONN, 56) E(ENOTCONN, 57) E(ESHUTDOWN, 58) E(ETIMEDOUT, 60) E(ECONNREFUSED, 61) E(ELOOP, 62) \
	E(ENAMETOOLONG, 63) E(EHOSTDOWN, 64) E(EHOSTUNREACH, 65) E(ENOTEMPTY, 66) E(EDQUOT, 69) E(ESTALE, 70) E(ENOLCK, 77) \
	E(ENOSYS, 78) E(EOVERFLOW, 84) E(ECANCELED, 89) E(EOPNOTSUPP, 102)
#define ERRNO_CONSTANT(name, value) DARWIN_##name = value,
enum { DARWIN_ERRNOS(ERRNO_CONSTANT) DARWIN_ENOTSUP = 45 };

#define DARWIN_CONSTANTS(C) \
	C(O_NONBLOCK, 4) C(O_APPEND, 8) C(O_SHLOCK, 0x10) C(O_EXLOCK, 0x20) C(O_NOFOLLOW, 0x100) C(O_CREAT, 0x200) \
	C(O_TRUNC, 0x400) C(O_EXCL, 0x800) C(O_NOCTTY, 0x20000) C(O_DIRECTORY, 0x100000) C(O_CLOEXEC, 0x1000000) \
	C(F_DUPFD, 0) C(F_GETFD, 1) C(F_SETFD, 2) C(F_GETFL, 3) C(F_SETFL, 4) C(F_FULLFSYNC, 51) C(F_GETPATH, 50) \
	C(F_DUPFD_CLOEXEC, 67) C(F_SETNOSIGPIPE, 73) C(F_GETNOSIGPIPE, 74) C(FD_CLOEXEC, 1) \
	C(LOCK_SH, 1) C(LOCK_EX, 2) C(LOCK_NB, 4) C(LOCK_UN, 8) \
	C(FIONBIO, 0x8004667e) C(FIONREAD, 0x4004667f) \
	C(AF_UNIX, 1) C(AF_INET, 2) C(AF_INET6, 30) C(SOCK_STREAM, 1) C(SOCK_DGRAM, 2) \
	C(MSG_PEEK, 2) C(MSG_TRUNC, 0x10) C(MSG_WAITALL, 0x40) C(MSG_DONTWAIT, 0x80) C(MSG_NOSIGNAL, 0x80000) \
	C(SOL_SOCKET, 0xffff) C(SO_REUSEADDR, 4) C(SO_BROADCAST, 0x20) C(SO_SNDBUF, 0x1001) C(SO_RCVBUF, 0x1002) \
	C(SO_SNDLOWAT, 0x1003) C(SO_RCVLOWAT, 0x1004) C(SO_ERROR, 0x1007) C(SO_TYPE, 0x1008) C(SO_NREAD, 0x1020) \
	C(SO_NOSIGPIPE, 0x1022) C(SO_NUMRCVPKT, 0x1112) \
	C(POLLIN, 1) C(POLLPRI, 2) C(POLLOUT, 4) C(POLLERR, 8) C(POLLHUP, 0x10) C(POLLNVAL, 0x20)
#define PLAIN_CONSTANT(name, value) DARWIN_##name = value,
enum { DARWIN_CONSTANTS(PLAIN_CONSTANT) DARWIN_AT_FDCWD = -2 };

typedef uint32_t darwin_socklen_t;

struct darwin_sockaddr {
	uint8_t sa_len, sa_family;
	char sa_data[14];
};
struct darwin_sockaddr_un {
	uint8_t sun_len, sun_family;
	char sun_path[104];
};
struct darwin_msghdr {
	void *msg_name;
	darwin_socklen_t msg_namelen;
	struct iovec *msg_iov;
	int msg_iovlen;
	void *msg_control;
	darwin_socklen_t msg_controllen;
	int msg_flags;
};
struct msghdr_x {
	void *msg_name;
	darwin_socklen_t msg_namelen;
	struct iovec *msg_iov;
	int msg_iovlen;
	void *msg_control;
	darwin_socklen_t msg_controllen;
	int msg_flags;
	size_t msg_datalen;
};
struct darwin_pollfd {
	int fd;
	short events, revents;
};
struct darwin_timespec {
	int64_t tv_sec;
	int64_t tv_nsec;
};
struct darwin_kevent {
	uint64_t ident;
	int16_t filter;
	uint16_t flags;
	uint32_t fflags;
	int64_t data;
	void *udata;
};
struct mach_timebase_info {
	uint32_t numer, denom;
};
struct darwin_passwd {
	char *pw_name, *pw_passwd;
	uint32_t pw_uid, pw_gid;
	int64_t pw_change;
	char *pw_class, *pw_gecos, *pw_dir, *pw_shell;
	int64_t pw_expire;
};
struct darwin_group {
	char *gr_name, *gr_passwd;
	uint32_t gr_gid;
	char **gr_mem;
};

/* Defines a function that is exported under Darwin's name, whatever Linux' headers declare under it. */
#define DARWIN(result, name, arguments) \
	APPLE result darwin_##name arguments __asm__(#name); \
	result darwin_##name arguments

/* Answers what a Linux call gave, with errno as Darwin counts it. */
long darwin_result(long result);
/* -1 with this Darwin errno. */
long darwin_failure(int number);

/* peer.c: whether the far end of a connected Unix datagram socket was closed. */
bool peer_is_dead(int fd);

#endif
