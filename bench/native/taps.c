/*
 * The floor of a relay between two TAPs with large frames: a program that looks at nothing.
 *
 *   taps VM NETWORK
 *
 * Makes both TAPs with the virtio-net header and its offloads and moves frames between them, whole, with their headers, one
 * read and one write for each. Prints "ready". Ends when it is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A header, and the longest frame. Frames that are read from one TAP before the other has its turn. */
enum { ROOM = 12 + 65550, TURN = 16 };

static unsigned char frame[ROOM] __attribute__((aligned(64)));

static void fail(const char *what) {
	perror(what);
	exit(1);
}

static int make_tap(const char *name) {
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header = 12;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) fail(name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0) fail(name);
	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) < 0) fail(name);
	return fd;
}

static void move(int from, int to) {
	for (int turn = 0; turn < TURN; turn++) {
		ssize_t length = read(from, frame, ROOM);
		if (length < 0) return;
		/* A TAP takes each frame, or drops it. */
		if (write(to, frame, length) < 0 && errno == EBADFD) fail("write");
	}
}

int main(int argc, char **argv) {
	if (argc != 3) return 2;
	int vm = make_tap(argv[1]), network = make_tap(argv[2]);
	puts("ready");
	fflush(stdout);
	struct pollfd ends[] = { { .fd = vm, .events = POLLIN }, { .fd = network, .events = POLLIN } };
	while (poll(ends, 2, -1) > 0) {
		if (ends[0].revents) move(vm, network);
		if (ends[1].revents) move(network, vm);
	}
	return 1;
}
