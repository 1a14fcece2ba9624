/*
 * The floor: forwarders that look at nothing.
 *
 *   forward single A B   one recv and one send for each frame
 *   forward batch A B    recvmmsg and sendmmsg of 64
 *
 * A and B are descriptors of connected unix datagram sockets; both directions are served, as softnet serves them. Ends
 * when it is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 64, SLOT = 2048 };

static unsigned char slab[2][BATCH][SLOT];
static struct iovec vectors[2][BATCH];
static struct mmsghdr headers[2][BATCH];

static void wait_for_room(int fd) {
	struct pollfd wanted = { .fd = fd, .events = POLLOUT };
	poll(&wanted, 1, 20);
}

static void move_one(int from, int to) {
	for (int turn = 0; turn < 256; turn++) {
		ssize_t length = recv(from, slab[0][0], SLOT, MSG_DONTWAIT);
		if (length < 0) return;
		while (send(to, slab[0][0], length, MSG_DONTWAIT) < 0 && errno == EAGAIN) wait_for_room(to);
	}
}

static void move_batch(int side, int from, int to) {
	for (int turn = 0; turn < 4; turn++) {
		for (int i = 0; i < BATCH; i++) vectors[side][i].iov_len = SLOT;
		int count = recvmmsg(from, headers[side], BATCH, MSG_DONTWAIT, NULL);
		if (count <= 0) return;
		for (int i = 0; i < count; i++) vectors[side][i].iov_len = headers[side][i].msg_len;
		for (int sent = 0; sent < count;) {
			int now = sendmmsg(to, headers[side] + sent, count - sent, MSG_DONTWAIT);
			if (now > 0) sent += now;
			else if (errno == EAGAIN) wait_for_room(to);
			else return;
		}
		if (count < BATCH) return;
	}
}

int main(int argc, char **argv) {
	if (argc != 4) return 2;
	int batch = strcmp(argv[1], "batch") == 0;
	int ends[2] = { atoi(argv[2]), atoi(argv[3]) };
	int size = 1 << 20;
	for (int side = 0; side < 2; side++) {
		setsockopt(ends[side], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
		for (int i = 0; i < BATCH; i++) {
			vectors[side][i].iov_base = slab[side][i];
			headers[side][i].msg_hdr.msg_iov = &vectors[side][i];
			headers[side][i].msg_hdr.msg_iovlen = 1;
		}
	}
	struct pollfd wanted[2] = { { .fd = ends[0], .events = POLLIN }, { .fd = ends[1], .events = POLLIN } };
	for (;;) {
		if (poll(wanted, 2, -1) < 0) return 1;
		for (int side = 0; side < 2; side++) {
			if (!(wanted[side].revents & POLLIN)) continue;
			if (batch) move_batch(side, ends[side], ends[1 - side]);
			else move_one(ends[side], ends[1 - side]);
		}
	}
}
