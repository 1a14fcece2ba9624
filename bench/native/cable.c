/*
 * What passt lacks to serve a TAP: it speaks on a unix stream socket only, where each frame has its length before it, 4
 * bytes, big-endian.
 *
 *   cable TAP SOCKET
 *
 * Makes the TAP, connects to the socket and moves frames, as many at a time as are there. Prints "ready". Ends when the
 * other side of the socket does. What passt does not take at once waits; the TAP is not read meanwhile.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ROOM = 1 << 17, LONGEST = 1518, PREFIX = 4 };

/* Towards passt: what is between sent and gathered. From passt: what has arrived, up to filled. */
static unsigned char up[ROOM], down[ROOM];
static size_t sent, gathered, filled;

static void fail(const char *what) {
	perror(what);
	exit(1);
}

static int make_tap(const char *name) {
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) fail(name);
	return fd;
}

static int connect_to(const char *path) {
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(path);
	return fd;
}

static void gather(int tap) {
	while (gathered + PREFIX + LONGEST <= ROOM) {
		ssize_t length = read(tap, up + gathered + PREFIX, LONGEST);
		if (length <= 0) return;
		uint32_t prefix = htonl(length);
		memcpy(up + gathered, &prefix, PREFIX);
		gathered += PREFIX + length;
	}
}

static void flush(int wire) {
	while (sent < gathered) {
		ssize_t count = send(wire, up + sent, gathered - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (count < 0) {
			if (errno == EAGAIN) return;
			fail("send");
		}
		sent += count;
	}
	sent = gathered = 0;
}

static void deliver(int wire, int tap) {
	ssize_t count = recv(wire, down + filled, ROOM - filled, MSG_DONTWAIT);
	if (count == 0) exit(0);
	if (count < 0) {
		if (errno == EAGAIN) return;
		fail("recv");
	}
	filled += count;
	size_t at = 0;
	while (filled - at >= PREFIX) {
		uint32_t length;
		memcpy(&length, down + at, PREFIX);
		length = ntohl(length);
		if (length > ROOM - PREFIX) {
			fprintf(stderr, "a frame of %u bytes\n", length);
			exit(1);
		}
		if (filled - at < PREFIX + length) break;
		/* A TAP that is down takes nothing: the frame is lost, as on a cable. */
		if (write(tap, down + at + PREFIX, length) < 0 && errno != EIO) fail("write");
		at += PREFIX + length;
	}
	memmove(down, down + at, filled - at);
	filled -= at;
}

int main(int argc, char **argv) {
	if (argc != 3) return 2;
	int tap = make_tap(argv[1]);
	int wire = connect_to(argv[2]);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int waits = sent < gathered;
		struct pollfd ends[2] = {
			{ .fd = tap, .events = waits ? 0 : POLLIN },
			{ .fd = wire, .events = waits ? POLLIN | POLLOUT : POLLIN },
		};
		if (poll(ends, 2, -1) < 0) fail("poll");
		if (ends[0].revents & POLLERR) return 1;
		if (ends[0].revents & POLLIN) gather(tap);
		flush(wire);
		if (ends[1].revents & (POLLIN | POLLHUP | POLLERR)) deliver(wire, tap);
	}
}
