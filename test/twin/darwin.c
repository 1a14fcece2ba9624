/*
 * The rest of Darwin's libc that has other numbers or layouts than Linux': errno, files, clocks, sysctl, accounts. What is
 * the same on both (close, pread, setuid …) is found in Linux' libc under its name.
 */
#define _GNU_SOURCE
#include "darwin.h"

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <time.h>

#include "linux.h"

/* --- errno: Darwin's number stands where Linux' would, so that koffi.errno() and __error() both read it --- */

static int to_darwin(int number) {
#define TRANSLATE(name, value) case name: return value;
	switch (number) {
		DARWIN_ERRNOS(TRANSLATE)
	default: twin_broken("Linux' error %d has no Darwin number in the stand-in", number);
	}
}

long darwin_result(long result) {
	if (result < 0) errno = to_darwin(errno);
	return result;
}

long darwin_failure(int number) {
	errno = number;
	return -1;
}

DARWIN(int *, __error, (void)) { return &errno; }

/* --- files --- */

static const struct { int here, there; } OPEN_FLAGS[] = {
	{DARWIN_O_NONBLOCK, 04000}, {DARWIN_O_APPEND, 02000}, {DARWIN_O_NOFOLLOW, O_NOFOLLOW}, {DARWIN_O_CREAT, 0100},
	{DARWIN_O_TRUNC, 01000}, {DARWIN_O_EXCL, 0200}, {DARWIN_O_NOCTTY, 0400}, {DARWIN_O_DIRECTORY, O_DIRECTORY},
	{DARWIN_O_CLOEXEC, 02000000}, {DARWIN_O_SHLOCK, 0}, {DARWIN_O_EXLOCK, 0},
};

static int open_as(int folder, const char *path, int flags, int mode) {
	int translated = flags & 3, left = flags & ~3;
	for (size_t i = 0; i < sizeof OPEN_FLAGS / sizeof *OPEN_FLAGS; i++) {
		if ((flags & OPEN_FLAGS[i].here) != 0) translated |= OPEN_FLAGS[i].there;
		left &= ~OPEN_FLAGS[i].here;
	}
	if (left != 0) twin_broken("open with the flags 0x%x, which Darwin does not have (or the stand-in)", left);
	int fd = (int)syscall(SYS_openat, folder == DARWIN_AT_FDCWD ? -100L : (long)folder, path, (long)translated, (long)mode);
	int lock = (flags & DARWIN_O_EXLOCK) != 0 ? LOCK_EX : (flags & DARWIN_O_SHLOCK) != 0 ? LOCK_SH : 0;
	if (fd >= 0 && lock != 0 && linux_flock(fd, lock | (flags & DARWIN_O_NONBLOCK ? LOCK_NB : 0)) < 0) {
		int number = errno;
		linux_close(fd);
		errno = number;
		fd = -1;
	}
	return (int)darwin_result(fd);
}

static int mode_of(int flags, va_list arguments) { return (flags & DARWIN_O_CREAT) != 0 ? va_arg(arguments, int) : 0; }

DARWIN(int, open, (const char *path, int flags, ...)) {
	va_list arguments;
	va_start(arguments, flags);
	int mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_as(DARWIN_AT_FDCWD, path, flags, mode);
}

DARWIN(int, openat, (int folder, const char *path, int flags, ...)) {
	va_list arguments;
	va_start(arguments, flags);
	int mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_as(folder, path, flags, mode);
}

DARWIN(int, flock, (int fd, int operation)) { return (int)darwin_result(linux_flock(fd, operation)); }

DARWIN(int, fcntl, (int fd, int command, ...)) {
	va_list arguments;
	va_start(arguments, command);
	long value = va_arg(arguments, long);
	va_end(arguments);
	int number = (int)value, flags;
	switch (command) {
	case DARWIN_F_DUPFD: return (int)darwin_result(linux_fcntl(fd, 0, number));
	case DARWIN_F_DUPFD_CLOEXEC: return (int)darwin_result(linux_fcntl(fd, 1030, number));
	case DARWIN_F_GETFD: return (int)darwin_result(linux_fcntl(fd, 1, 0));
	case DARWIN_F_SETFD: return (int)darwin_result(linux_fcntl(fd, 2, number));
	case DARWIN_F_GETFL:
		flags = linux_fcntl(fd, 3, 0);
		if (flags < 0) return (int)darwin_result(flags);
		return (flags & 3) | ((flags & 04000) != 0 ? DARWIN_O_NONBLOCK : 0) | ((flags & 02000) != 0 ? DARWIN_O_APPEND : 0);
	case DARWIN_F_SETFL:
		if ((number & ~(3 | DARWIN_O_NONBLOCK | DARWIN_O_APPEND)) != 0)
			twin_broken("fcntl F_SETFL 0x%x: on Darwin O_NONBLOCK is 4", number);
		flags = ((number & DARWIN_O_NONBLOCK) != 0 ? 04000 : 0) | ((number & DARWIN_O_APPEND) != 0 ? 02000 : 0);
		return (int)darwin_result(linux_fcntl(fd, 4, flags));
	case DARWIN_F_FULLFSYNC: return (int)darwin_result(syscall(SYS_fsync, (long)fd));
	case DARWIN_F_SETNOSIGPIPE: case DARWIN_F_GETNOSIGPIPE:
		return (int)darwin_result(linux_fcntl(fd, 1, 0)) < 0 ? -1 : 0;
	default: twin_broken("fcntl command %d, which the stand-in does not have (or Darwin)", command);
	}
}

DARWIN(int, ioctl, (int fd, unsigned long request, ...)) {
	va_list arguments;
	va_start(arguments, request);
	int *value = va_arg(arguments, int *);
	va_end(arguments);
	twin_region(value, sizeof *value);
	switch (request & 0xffffffff) {
	case DARWIN_FIONBIO: return (int)darwin_result(linux_ioctl(fd, 0x5421, value));
	case DARWIN_FIONREAD: return (int)darwin_result(linux_ioctl(fd, 0x541b, value));
	default: return (int)darwin_failure(DARWIN_ENOTTY);
	}
}

/* --- clocks: ticks of Apple silicon, 24 MHz, so that nobody takes them for nanoseconds --- */

#define NUMERATOR 125
#define DENOMINATOR 3

static uint64_t nanoseconds(int clock) {
	struct timespec now;
	syscall(SYS_clock_gettime, (long)clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Whole seconds first: the product of large counts would not fit. */
static uint64_t ticks(uint64_t ns) {
	return ns / 1000000000u * 24000000u + ns % 1000000000u * DENOMINATOR / NUMERATOR;
}

DARWIN(uint64_t, mach_absolute_time, (void)) { return ticks(nanoseconds(CLOCK_MONOTONIC)); }
DARWIN(uint64_t, mach_continuous_time, (void)) { return ticks(nanoseconds(CLOCK_BOOTTIME)); }

DARWIN(int, mach_timebase_info, (struct mach_timebase_info *info)) {
	twin_region(info, sizeof *info);
	*info = (struct mach_timebase_info){NUMERATOR, DENOMINATOR};
	return 0;
}

/* Darwin's clock, or -1. Its CLOCK_MONOTONIC goes on while the machine sleeps. */
static int linux_clock(int clock) {
	switch (clock) {
	case 0: return CLOCK_REALTIME;
	case 4: case 5: case 6: return CLOCK_BOOTTIME; /* MONOTONIC_RAW, its approximation, MONOTONIC */
	case 8: case 9: return CLOCK_MONOTONIC; /* UPTIME_RAW and its approximation stop while the machine sleeps */
	case 12: return CLOCK_PROCESS_CPUTIME_ID;
	case 16: return CLOCK_THREAD_CPUTIME_ID;
	default: return -1;
	}
}

DARWIN(int, clock_gettime, (int clock, struct darwin_timespec *time)) {
	int translated = linux_clock(clock);
	twin_region(time, sizeof *time);
	if (translated < 0) return (int)darwin_failure(DARWIN_EINVAL);
	return (int)darwin_result(syscall(SYS_clock_gettime, (long)translated, time));
}

DARWIN(uint64_t, clock_gettime_nsec_np, (int clock)) {
	int translated = linux_clock(clock);
	return translated < 0 ? 0 : nanoseconds(translated);
}

/* --- sysctl --- */

static int answer(const void *value, size_t size, void *old, size_t *length) {
	if (length == NULL) return 0;
	twin_region(length, sizeof *length);
	if (old == NULL) {
		*length = size;
		return 0;
	}
	if (*length < size) return (int)darwin_failure(DARWIN_ENOMEM);
	twin_region(old, size);
	memcpy(old, value, size);
	*length = size;
	return 0;
}

DARWIN(int, sysctlbyname, (const char *name, void *old, size_t *length, const void *new, size_t new_length)) {
	if (new != NULL || new_length != 0) return (int)darwin_failure(DARWIN_EPERM);
	int number = -1;
	if (strcmp(name, "kern.ipc.maxsendmsgx") == 0 || strcmp(name, "kern.ipc.maxrecvmsgx") == 0)
		number = (int)twin_value(BATCH_LIMIT);
	else if (strcmp(name, "kern.ipc.maxsockbuf") == 0) number = 8 << 20;
	else if (strcmp(name, "net.local.dgram.maxdgram") == 0) number = 2048;
	else if (strcmp(name, "net.local.dgram.recvspace") == 0) number = 4096;
	if (number >= 0) return answer(&number, sizeof number, old, length);
	if (strcmp(name, "kern.bootsessionuuid") == 0) {
		char text[37] = "";
		int fd = linux_open("/proc/sys/kernel/random/boot_id", 02000000, 0);
		if (fd < 0 || linux_read(fd, text, 36) != 36) twin_broken("Linux has no boot id");
		linux_close(fd);
		for (char *at = text; *at != 0; at++)
			if (*at >= 'a' && *at <= 'f') *at = (char)(*at - 'a' + 'A');
		return answer(text, sizeof text, old, length);
	}
	if (strcmp(name, "kern.boottime") == 0) {
		/* struct timeval: 8 bytes of seconds, 4 of microseconds, 4 of nothing. */
		int64_t since = (int64_t)(nanoseconds(CLOCK_REALTIME) - nanoseconds(CLOCK_BOOTTIME));
		struct { int64_t seconds; int32_t microseconds, nothing; } time = {
			since / 1000000000, (int32_t)(since % 1000000000 / 1000), 0};
		return answer(&time, sizeof time, old, length);
	}
	return (int)darwin_failure(DARWIN_ENOENT);
}

/* --- accounts: struct passwd has three more fields on Darwin --- */

static void *linux_function(const char *name) {
	void *found = dlsym(dlopen("libc.so.6", RTLD_LAZY), name);
	if (found == NULL) twin_broken("Linux' libc has no %s", name);
	return found;
}

static _Thread_local struct darwin_passwd account;

static struct darwin_passwd *translate(const struct passwd *found) {
	if (found == NULL) return NULL;
	account = (struct darwin_passwd){found->pw_name, found->pw_passwd, found->pw_uid, found->pw_gid, 0, (char *)"",
		found->pw_gecos, found->pw_dir, found->pw_shell, 0};
	return &account;
}

DARWIN(struct darwin_passwd *, getpwnam, (const char *name)) {
	struct passwd *(*call)(const char *) = linux_function("getpwnam");
	return translate(call(name));
}

DARWIN(struct darwin_passwd *, getpwuid, (uint32_t uid)) {
	struct passwd *(*call)(uid_t) = linux_function("getpwuid");
	return translate(call(uid));
}

static int fill(const struct passwd *result, int error, struct darwin_passwd *into, struct darwin_passwd **found) {
	*found = NULL;
	if (error != 0) return to_darwin(error);
	if (result == NULL) return 0;
	twin_region(into, sizeof *into);
	*into = *translate(result);
	*found = into;
	return 0;
}

DARWIN(int, getpwnam_r,
	(const char *name, struct darwin_passwd *into, char *buffer, size_t size, struct darwin_passwd **found)) {
	struct passwd entry, *result = NULL;
	int (*call)(const char *, struct passwd *, char *, size_t, struct passwd **) = linux_function("getpwnam_r");
	twin_region(buffer, size);
	int error = call(name, &entry, buffer, size, &result);
	return fill(result, error, into, found);
}

DARWIN(int, getpwuid_r,
	(uint32_t uid, struct darwin_passwd *into, char *buffer, size_t size, struct darwin_passwd **found)) {
	struct passwd entry, *result = NULL;
	int (*call)(uid_t, struct passwd *, char *, size_t, struct passwd **) = linux_function("getpwuid_r");
	twin_region(buffer, size);
	int error = call(uid, &entry, buffer, size, &result);
	return fill(result, error, into, found);
}
