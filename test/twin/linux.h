/*
 * Linux' own calls by number. The stand-in for libSystem exports functions of the same names (poll, fcntl …) with
 * Darwin's numbers; what lies below them must never reach those. Each answers -1 with Linux' errno on failure.
 */
#ifndef TWIN_LINUX_H
#define TWIN_LINUX_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline int linux_poll(void *fds, unsigned long count, int milliseconds) {
	struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
	return (int)syscall(SYS_ppoll, fds, count, milliseconds < 0 ? NULL : &left, NULL, 8L);
}

#define linux_fcntl(fd, command, value) ((int)syscall(SYS_fcntl, (long)(fd), (long)(command), (long)(value)))
#define linux_ioctl(fd, request, value) ((int)syscall(SYS_ioctl, (long)(fd), (unsigned long)(request), (long)(value)))
#define linux_open(path, flags, mode) ((int)syscall(SYS_openat, -100L, path, (long)(flags), (long)(mode)))
#define linux_close(fd) ((int)syscall(SYS_close, (long)(fd)))
#define linux_read(fd, bytes, length) syscall(SYS_read, (long)(fd), bytes, (long)(length))
#define linux_write(fd, bytes, length) syscall(SYS_write, (long)(fd), bytes, (long)(length))
#define linux_send(fd, bytes, length, flags) \
	syscall(SYS_sendto, (long)(fd), bytes, (long)(length), (long)(flags), NULL, 0L)
#define linux_flock(fd, operation) ((int)syscall(SYS_flock, (long)(fd), (long)(operation)))
#define linux_socket(family, type, protocol) \
	((int)syscall(SYS_socket, (long)(family), (long)(type), (long)(protocol)))
#define linux_bind(fd, address, length) ((int)syscall(SYS_bind, (long)(fd), address, (long)(length)))
#define linux_connect(fd, address, length) ((int)syscall(SYS_connect, (long)(fd), address, (long)(length)))
#define linux_listen(fd, backlog) ((int)syscall(SYS_listen, (long)(fd), (long)(backlog)))
#define linux_accept(fd) ((int)syscall(SYS_accept4, (long)(fd), NULL, NULL, 0L))
#define linux_getpeername(fd, address, length) ((int)syscall(SYS_getpeername, (long)(fd), address, length))
#define linux_getsockname(fd, address, length) ((int)syscall(SYS_getsockname, (long)(fd), address, length))
#define linux_getsockopt(fd, level, name, value, length) \
	((int)syscall(SYS_getsockopt, (long)(fd), (long)(level), (long)(name), value, length))
#define linux_setsockopt(fd, level, name, value, length) \
	((int)syscall(SYS_setsockopt, (long)(fd), (long)(level), (long)(name), value, (long)(length)))
#define linux_sendmmsg(fd, messages, count, flags) \
	((int)syscall(SYS_sendmmsg, (long)(fd), messages, (long)(count), (long)(flags)))
#define linux_recvmmsg(fd, messages, count, flags) \
	((int)syscall(SYS_recvmmsg, (long)(fd), messages, (long)(count), (long)(flags), NULL))

#endif
