/*
 * Darwin's socket calls on Linux' sockets, with Darwin's numbers and its manners on Unix datagrams (macos.md section 4):
 * a send never blocks but answers ENOBUFS when the far end is full; SO_SNDBUF bounds one datagram; a far end that is gone
 * wakes nobody, gives ECONNRESET once, and shows itself to getpeername and to a fresh poll. Unix streams may have a path;
 * their addresses are Darwin's, and getpeername fails with EINVAL once both directions are closed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "darwin.h"
#include "linux.h"

#define MOST_MESSAGES 256
#define HARD_LIMIT 1024
#define LARGEST_BUFFER (8 << 20)

/* --- what Darwin knows of a socket and Linux does not --- */

struct known {
	uint64_t inode;
	bool unix_datagram, unix_stream;
	int type;
	uint32_t send_buffer, receive_buffer, no_sigpipe;
	bool reset_told;
};
#define MOST_KNOWN 4096
static struct known table[MOST_KNOWN];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* NULL with Darwin's errno set when it is no socket. */
static struct known *known_socket(int fd) {
	struct stat found;
	int type, family;
	socklen_t size = sizeof type;
	if (syscall(SYS_fstat, (long)fd, &found) < 0 || linux_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) {
		darwin_result(-1);
		return NULL;
	}
	pthread_mutex_lock(&lock);
	struct known *known = &table[found.st_ino % MOST_KNOWN];
	if (known->inode != found.st_ino) {
		size = sizeof family;
		linux_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
		*known = (struct known){.inode = found.st_ino, .type = type, .unix_datagram = family == AF_UNIX && type == SOCK_DGRAM,
			.unix_stream = family == AF_UNIX && type == SOCK_STREAM};
		known->send_buffer = known->unix_datagram ? 2048 : 131072;
		known->receive_buffer = known->unix_datagram ? 4096 : 131072;
		/* Linux counts what is under way against the sender, Darwin against the receiver. */
		int room = (int)twin_value(PEER_ROOM);
		if (known->unix_datagram && linux_setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
			linux_setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	}
	pthread_mutex_unlock(&lock);
	return known;
}

/* Whether both directions of a connected stream are closed, by either side. */
static bool is_shut(int fd, const struct known *known) {
	struct darwin_pollfd watched = {fd, 0, 0};
	return known->unix_stream && linux_poll(&watched, 1, 0) > 0 && (watched.revents & DARWIN_POLLHUP) != 0;
}

/* The error of a far end that is gone: the reset once, then what is given. */
static long gone(struct known *known, int later) {
	bool told = known->reset_told;
	known->reset_told = true;
	return darwin_failure(told ? later : DARWIN_ECONNRESET);
}

static bool translate_flags(struct known *known, int flags, int *translated) {
	if ((flags & DARWIN_MSG_WAITALL) != 0 && known->type == SOCK_DGRAM)
		twin_broken("flag 0x40 on a datagram socket is MSG_WAITALL on Darwin, MSG_DONTWAIT is 0x80");
	*translated = (flags & DARWIN_MSG_DONTWAIT ? MSG_DONTWAIT : 0) | (flags & DARWIN_MSG_PEEK ? MSG_PEEK : 0) |
		(flags & DARWIN_MSG_WAITALL ? MSG_WAITALL : 0) | MSG_NOSIGNAL;
	int allowed = DARWIN_MSG_DONTWAIT | DARWIN_MSG_PEEK | DARWIN_MSG_WAITALL | DARWIN_MSG_NOSIGNAL | DARWIN_MSG_TRUNC;
	return (flags & ~allowed) == 0;
}

static void check_iovecs(const struct iovec *iovecs, int count, const char *function) {
	if (iovecs == NULL || count < 1 || count > 1024) twin_broken("%s: a message of %d iovecs", function, count);
	twin_region(iovecs, (size_t)count * sizeof *iovecs);
	for (int i = 0; i < count; i++) {
		if (iovecs[i].iov_base == NULL) twin_broken("%s: an iovec without memory", function);
		twin_region(iovecs[i].iov_base, iovecs[i].iov_len);
	}
}

static size_t total(const struct iovec *iovecs, int count) {
	size_t sum = 0;
	for (int i = 0; i < count; i++) sum += iovecs[i].iov_len;
	return sum;
}

/* --- the four ways to send and receive meet here --- */

/* How many were sent, or -1. Flags are Linux'. */
static long send_all(int fd, struct known *known, struct mmsghdr *messages, unsigned count, int flags) {
	long injected = twin_once(SEND_ERRNO);
	if (injected != 0) return darwin_failure((int)injected);
	if (twin_times(SEND_FULL)) return darwin_failure(DARWIN_ENOBUFS);
	long cap = twin_value(SEND_CAP);
	if (cap > 0 && count > cap) count = (unsigned)cap;
	unsigned fits = 0;
	while (known->unix_datagram && fits < count &&
		total(messages[fits].msg_hdr.msg_iov, (int)messages[fits].msg_hdr.msg_iovlen) <= known->send_buffer) fits++;
	if (!known->unix_datagram) fits = count;
	if (fits == 0 && !peer_is_dead(fd)) return darwin_failure(DARWIN_EMSGSIZE);
	long n = linux_sendmmsg(fd, messages, fits == 0 ? 1 : fits, known->unix_datagram ? flags | MSG_DONTWAIT : flags);
	if (n >= 0) {
		twin_add(SENT_DATAGRAMS, n);
		return n;
	}
	if (!known->unix_datagram) return darwin_result(n);
	if (errno == EAGAIN) return darwin_failure(DARWIN_ENOBUFS);
	if (errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET) return gone(known, DARWIN_ENOTCONN);
	return darwin_result(n);
}

static long receive_all(int fd, struct known *known, struct mmsghdr *messages, unsigned count, int flags) {
	long injected = twin_once(RECEIVE_ERRNO);
	if (injected != 0) return darwin_failure((int)injected);
	long cap = twin_value(RECEIVE_CAP);
	if (cap > 0 && count > cap) count = (unsigned)cap;
	long n = linux_recvmmsg(fd, messages, count, flags | MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN && known->unix_datagram && !known->reset_told && peer_is_dead(fd))
		return gone(known, DARWIN_EAGAIN);
	if (n < 0 && errno == EAGAIN && (flags & MSG_DONTWAIT) == 0) /* as the socket's O_NONBLOCK says */
		n = linux_recvmmsg(fd, messages, count, flags | MSG_WAITFORONE);
	if (n < 0 && errno == ECONNRESET && known->unix_stream) /* closed with bytes unread there: Darwin makes nothing of it */
		n = linux_recvmmsg(fd, messages, count, flags | MSG_DONTWAIT);
	if (n > 0) twin_add(RECEIVED_DATAGRAMS, n);
	return darwin_result(n);
}

/* --- one datagram --- */

static struct mmsghdr one_message(struct iovec *iovecs, int count) {
	return (struct mmsghdr){.msg_hdr = {.msg_iov = iovecs, .msg_iovlen = (size_t)count}};
}

DARWIN(ssize_t, send, (int fd, const void *bytes, size_t length, int flags)) {
	struct known *known = known_socket(fd);
	int translated;
	if (known == NULL) return -1;
	if (!translate_flags(known, flags, &translated)) return darwin_failure(DARWIN_EINVAL);
	twin_region(bytes, length);
	twin_add(SENDS, 1);
	struct iovec iovec = {(void *)bytes, length};
	struct mmsghdr message = one_message(&iovec, 1);
	return send_all(fd, known, &message, 1, translated) < 0 ? -1 : (ssize_t)message.msg_len;
}

DARWIN(ssize_t, recv, (int fd, void *bytes, size_t length, int flags)) {
	struct known *known = known_socket(fd);
	int translated;
	if (known == NULL) return -1;
	if (!translate_flags(known, flags, &translated)) return darwin_failure(DARWIN_EINVAL);
	twin_region(bytes, length);
	twin_add(RECEIVES, 1);
	struct iovec iovec = {bytes, length};
	struct mmsghdr message = one_message(&iovec, 1);
	return receive_all(fd, known, &message, 1, translated) < 0 ? -1 : (ssize_t)message.msg_len;
}

static void check_plain(const struct darwin_msghdr *message, const char *function) {
	twin_region(message, sizeof *message);
	if (message->msg_name != NULL || message->msg_control != NULL)
		twin_broken("%s: the stand-in has neither addresses nor control data", function);
	check_iovecs(message->msg_iov, message->msg_iovlen, function);
}

DARWIN(ssize_t, sendmsg, (int fd, const struct darwin_msghdr *given, int flags)) {
	struct known *known = known_socket(fd);
	int translated;
	if (known == NULL) return -1;
	check_plain(given, "sendmsg");
	if (!translate_flags(known, flags, &translated)) return darwin_failure(DARWIN_EINVAL);
	twin_add(SENDS, 1);
	struct mmsghdr message = one_message(given->msg_iov, given->msg_iovlen);
	return send_all(fd, known, &message, 1, translated) < 0 ? -1 : (ssize_t)message.msg_len;
}

DARWIN(ssize_t, recvmsg, (int fd, struct darwin_msghdr *given, int flags)) {
	struct known *known = known_socket(fd);
	int translated;
	if (known == NULL) return -1;
	check_plain(given, "recvmsg");
	if (!translate_flags(known, flags, &translated)) return darwin_failure(DARWIN_EINVAL);
	twin_add(RECEIVES, 1);
	struct mmsghdr message = one_message(given->msg_iov, given->msg_iovlen);
	if (receive_all(fd, known, &message, 1, translated) < 0) return -1;
	given->msg_namelen = given->msg_controllen = 0;
	given->msg_flags = (message.msg_hdr.msg_flags & MSG_TRUNC) != 0 ? DARWIN_MSG_TRUNC : 0;
	return (ssize_t)message.msg_len;
}

/* --- batches --- */

/* How many headers count, checked and translated; 0 with errno set. */
static unsigned check_batch(int fd, const struct msghdr_x *given, unsigned count, int flags, struct mmsghdr *messages,
	struct known **known, const char *function) {
	*known = known_socket(fd);
	if (*known == NULL) return 0;
	if (count == 0 || count > HARD_LIMIT || (flags & ~DARWIN_MSG_DONTWAIT) != 0) {
		darwin_failure(DARWIN_EINVAL);
		return 0;
	}
	twin_region(given, count * sizeof *given);
	for (unsigned i = 0; i < count; i++) {
		const struct msghdr_x *header = &given[i];
		if (header->msg_name != NULL || header->msg_control != NULL)
			twin_broken("%s: header %u has a name or control data", function, i);
		if (header->msg_namelen != 0 || header->msg_controllen != 0 || header->msg_flags != 0 || header->msg_datalen != 0)
			twin_broken("%s: header %u was not reset: namelen %u, controllen %u, flags 0x%x, datalen %zu", function, i,
				header->msg_namelen, header->msg_controllen, header->msg_flags, header->msg_datalen);
		check_iovecs(header->msg_iov, header->msg_iovlen, function);
	}
	long limit = twin_value(BATCH_LIMIT);
	if (count > limit) count = (unsigned)limit;
	if (count > MOST_MESSAGES) count = MOST_MESSAGES;
	for (unsigned i = 0; i < count; i++) messages[i] = one_message(given[i].msg_iov, given[i].msg_iovlen);
	return count;
}

DARWIN(ssize_t, sendmsg_x, (int fd, const struct msghdr_x *given, unsigned count, int flags)) {
	struct mmsghdr messages[MOST_MESSAGES];
	struct known *known;
	count = check_batch(fd, given, count, flags, messages, &known, "sendmsg_x");
	if (count == 0) return -1;
	twin_add(SENDS, 1);
	return send_all(fd, known, messages, count, MSG_NOSIGNAL | (flags != 0 ? MSG_DONTWAIT : 0));
}

DARWIN(ssize_t, recvmsg_x, (int fd, const struct msghdr_x *given, unsigned count, int flags)) {
	struct mmsghdr messages[MOST_MESSAGES];
	struct known *known;
	count = check_batch(fd, given, count, flags, messages, &known, "recvmsg_x");
	if (count == 0) return -1;
	twin_add(RECEIVES, 1);
	long n = receive_all(fd, known, messages, count, flags != 0 ? MSG_DONTWAIT : 0);
	/* The kernel writes its side of the headers back, although they are declared const. A cut datagram shows nowhere. */
	for (long i = 0; i < n; i++) {
		struct msghdr_x *header = (struct msghdr_x *)&given[i];
		header->msg_namelen = header->msg_controllen = 0;
		header->msg_flags = 0;
		header->msg_datalen = messages[i].msg_len;
	}
	return n;
}

/* --- state, options --- */

DARWIN(int, getpeername, (int fd, struct darwin_sockaddr *address, darwin_socklen_t *length)) {
	struct known *known = known_socket(fd);
	if (known == NULL) return -1;
	twin_region(length, sizeof *length);
	uint8_t found[128];
	socklen_t size = sizeof found;
	if (linux_getpeername(fd, found, &size) < 0) return (int)darwin_result(-1);
	if (known->unix_datagram && peer_is_dead(fd)) return (int)darwin_failure(DARWIN_ENOTCONN);
	if (is_shut(fd, known)) return (int)darwin_failure(DARWIN_EINVAL);
	struct darwin_sockaddr answer = {sizeof answer, ((struct sockaddr *)found)->sa_family == AF_INET6 ? DARWIN_AF_INET6
		: (uint8_t)((struct sockaddr *)found)->sa_family, {0}};
	size_t room = *length < sizeof answer ? *length : sizeof answer;
	twin_region(address, room);
	memcpy(answer.sa_data, found + 2, answer.sa_family == DARWIN_AF_INET ? 14 : 0);
	memcpy(address, &answer, room);
	*length = sizeof answer;
	return 0;
}

DARWIN(int, poll, (struct darwin_pollfd *watched, unsigned count, int milliseconds)) {
	twin_region(watched, count * sizeof *watched);
	for (unsigned i = 0; i < count; i++)
		if (watched[i].fd >= 0 && watched[i].events == 0)
			twin_broken("poll for no event: Darwin then tells nothing, not even POLLHUP");
	bool dead = false;
	/* A poll that begins looks at the far ends; one that waits already is not told. */
	for (unsigned i = 0; i < count; i++) {
		struct stat found;
		if (watched[i].fd < 0 || syscall(SYS_fstat, (long)watched[i].fd, &found) < 0 || !S_ISSOCK(found.st_mode)) continue;
		struct known *known = known_socket(watched[i].fd);
		if (known != NULL && known->unix_datagram && !known->reset_told && peer_is_dead(watched[i].fd)) dead = true;
	}
	int n = linux_poll(watched, count, dead ? 0 : milliseconds);
	if (n < 0 || !dead) return (int)darwin_result(n);
	n = 0;
	for (unsigned i = 0; i < count; i++) {
		struct stat found;
		if (watched[i].fd >= 0 && syscall(SYS_fstat, (long)watched[i].fd, &found) == 0 && S_ISSOCK(found.st_mode)) {
			struct known *known = known_socket(watched[i].fd);
			if (known != NULL && known->unix_datagram && !known->reset_told && peer_is_dead(watched[i].fd))
				watched[i].revents |= watched[i].events & DARWIN_POLLIN;
		}
		n += watched[i].revents != 0;
	}
	return n;
}

DARWIN(int, socketpair, (int family, int type, int protocol, int fds[2])) {
	if ((type & ~0xf) != 0) twin_broken("socketpair with type 0x%x: Darwin has no flags there", type);
	if (family != DARWIN_AF_UNIX) return (int)darwin_failure(DARWIN_EAFNOSUPPORT);
	return (int)darwin_result(syscall(SYS_socketpair, (long)AF_UNIX, (long)type, (long)protocol, fds));
}

DARWIN(int, socket, (int family, int type, int protocol)) {
	if ((type & ~0xf) != 0) twin_broken("socket with type 0x%x: Darwin has no flags there", type);
	if (family == DARWIN_AF_INET6) family = AF_INET6;
	else if (family != DARWIN_AF_INET && family != DARWIN_AF_UNIX) return (int)darwin_failure(DARWIN_EAFNOSUPPORT);
	return (int)darwin_result(linux_socket(family, type, protocol));
}

/* --- unix sockets with a path --- */

/* Linux' address for Darwin's, or NULL with errno set. */
static const struct sockaddr_un *unix_address(int fd, const struct darwin_sockaddr_un *given, darwin_socklen_t length,
	struct sockaddr_un *address, const char *function) {
	struct known *known = known_socket(fd);
	if (known == NULL) return NULL;
	if (!known->unix_datagram && !known->unix_stream) twin_broken("%s: the stand-in has unix sockets only", function);
	if (length <= 2 || length > sizeof *given) twin_broken("%s: a sockaddr_un of %u bytes", function, length);
	twin_region(given, length);
	if (given->sun_family != DARWIN_AF_UNIX)
		twin_broken("%s: address family %u: on Darwin a length of 1 byte comes before it", function, given->sun_family);
	if (given->sun_len != length)
		twin_broken("%s: sun_len is %u, and the address has %u bytes", function, given->sun_len, length);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, given->sun_path, length - 2); /* Linux has room for 4 more: zeros */
	if (address->sun_path[0] == 0) { /* Linux would take it for an abstract name */
		darwin_failure(DARWIN_ENOENT);
		return NULL;
	}
	return address;
}

DARWIN(int, bind, (int fd, const struct darwin_sockaddr_un *given, darwin_socklen_t length)) {
	struct sockaddr_un address;
	if (unix_address(fd, given, length, &address, "bind") == NULL) return -1;
	return (int)darwin_result(linux_bind(fd, &address, sizeof address));
}

DARWIN(int, connect, (int fd, const struct darwin_sockaddr_un *given, darwin_socklen_t length)) {
	struct sockaddr_un address;
	if (unix_address(fd, given, length, &address, "connect") == NULL) return -1;
	if (linux_connect(fd, &address, sizeof address) == 0) return 0;
	int number = errno;
	struct stat found;
	if (number == ECONNREFUSED && syscall(SYS_newfstatat, -100L, address.sun_path, &found, 0L) == 0 &&
		!S_ISSOCK(found.st_mode)) number = ENOTSOCK;
	if (number == EAGAIN) number = ECONNREFUSED; /* the listener's queue is full */
	errno = number;
	return (int)darwin_result(-1);
}

DARWIN(int, listen, (int fd, int backlog)) {
	if (known_socket(fd) == NULL) return -1;
	return (int)darwin_result(linux_listen(fd, backlog));
}

/* As in BSD, O_NONBLOCK is inherited and FD_CLOEXEC is not. */
DARWIN(int, accept, (int fd, struct darwin_sockaddr *address, darwin_socklen_t *length)) {
	if (known_socket(fd) == NULL) return -1;
	if (address != NULL || length != NULL) twin_broken("accept: the stand-in does not tell who connects");
	int client = linux_accept(fd);
	if (client < 0) return (int)darwin_result(-1);
	int flags = linux_fcntl(fd, 3 /* F_GETFL */, 0);
	linux_fcntl(client, 4 /* F_SETFL */, 2 | (flags & 04000));
	return client;
}

DARWIN(int, getsockname, (int fd, struct darwin_sockaddr_un *address, darwin_socklen_t *length)) {
	struct known *known = known_socket(fd);
	if (known == NULL) return -1;
	twin_region(length, sizeof *length);
	union {
		struct sockaddr_un address;
		uint8_t bytes[128];
	} found = {{0}};
	socklen_t size = sizeof found;
	if (linux_getsockname(fd, &found, &size) < 0) return (int)darwin_result(-1);
	struct darwin_sockaddr_un answer = {16, DARWIN_AF_UNIX, {0}};
	if (known->unix_datagram || known->unix_stream) {
		size_t path = strnlen(found.address.sun_path, sizeof answer.sun_path);
		memcpy(answer.sun_path, found.address.sun_path, path);
		if (path > 0) answer.sun_len = (uint8_t)(2 + path + (path < sizeof answer.sun_path));
	} else { /* of others only the family */
		answer.sun_family = found.address.sun_family == AF_INET6 ? DARWIN_AF_INET6 : (uint8_t)found.address.sun_family;
	}
	size_t room = *length < answer.sun_len ? *length : answer.sun_len;
	twin_region(address, room);
	memcpy(address, &answer, room);
	*length = answer.sun_len;
	return 0;
}

DARWIN(int, setsockopt, (int fd, int level, int name, const void *value, darwin_socklen_t length)) {
	struct known *known = known_socket(fd);
	if (known == NULL) return -1;
	if (level != DARWIN_SOL_SOCKET) return (int)darwin_failure(DARWIN_ENOPROTOOPT);
	if (value == NULL || length != sizeof(uint32_t)) return (int)darwin_failure(DARWIN_EINVAL);
	twin_region(value, length);
	uint32_t given = *(const uint32_t *)value;
	switch (name) {
	case DARWIN_SO_SNDBUF:
	case DARWIN_SO_RCVBUF:
		if (given == 0) return (int)darwin_failure(DARWIN_EINVAL);
		if (given > LARGEST_BUFFER) given = LARGEST_BUFFER;
		*(name == DARWIN_SO_SNDBUF ? &known->send_buffer : &known->receive_buffer) = given;
		return 0;
	case DARWIN_SO_NOSIGPIPE:
		known->no_sigpipe = given != 0;
		return 0;
	case DARWIN_SO_REUSEADDR: return (int)darwin_result(linux_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, value, length));
	case DARWIN_SO_BROADCAST: return (int)darwin_result(linux_setsockopt(fd, SOL_SOCKET, SO_BROADCAST, value, length));
	case DARWIN_SO_SNDLOWAT: case DARWIN_SO_RCVLOWAT: return 0;
	default: return (int)darwin_failure(DARWIN_ENOPROTOOPT);
	}
}

DARWIN(int, getsockopt, (int fd, int level, int name, void *value, darwin_socklen_t *length)) {
	struct known *known = known_socket(fd);
	if (known == NULL) return -1;
	if (level != DARWIN_SOL_SOCKET) return (int)darwin_failure(DARWIN_ENOPROTOOPT);
	twin_region(length, sizeof *length);
	if (value == NULL || *length < sizeof(int)) return (int)darwin_failure(DARWIN_EINVAL);
	twin_region(value, sizeof(int));
	int answer = 0;
	socklen_t size = sizeof answer;
	switch (name) {
	case DARWIN_SO_SNDBUF: answer = (int)known->send_buffer; break;
	case DARWIN_SO_RCVBUF: answer = (int)known->receive_buffer; break;
	case DARWIN_SO_NOSIGPIPE: answer = (int)known->no_sigpipe; break;
	case DARWIN_SO_TYPE: answer = known->type; break;
	case DARWIN_SO_NREAD:
		if (linux_ioctl(fd, 0x541b /* FIONREAD */, &answer) < 0) return (int)darwin_result(-1);
		break;
	case DARWIN_SO_ERROR:
		if (known->unix_datagram && !known->reset_told && peer_is_dead(fd)) {
			known->reset_told = true;
			answer = DARWIN_ECONNRESET;
		} else if (linux_getsockopt(fd, SOL_SOCKET, SO_ERROR, &answer, &size) < 0) return (int)darwin_result(-1);
		else if (answer != 0 && answer != DARWIN_ECONNRESET) {
			errno = answer;
			darwin_result(-1);
			answer = errno;
		}
		break;
	default: return (int)darwin_failure(DARWIN_ENOPROTOOPT);
	}
	memcpy(value, &answer, sizeof answer);
	*length = sizeof answer;
	return 0;
}

/* --- what the stand-in does not have: without these, Linux' with another layout would be found under the name --- */

#define NOT_HERE(name) \
	DARWIN(void, name, (void)) { twin_broken("the stand-in for libSystem does not have " #name); }
NOT_HERE(sendto)
NOT_HERE(recvfrom)
NOT_HERE(getifaddrs)
NOT_HERE(getaddrinfo)
