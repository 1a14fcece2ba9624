/*
 * Sends COUNT frames into descriptor A, in turn the DIFFERENT ones of equal length on standard input, and takes as many from
 * descriptor B, with at most WINDOW on their way, so that nothing is lost. Prints the nanoseconds that it took; gives up, with what is missing, after 30 s of
 * silence.
 *
 *   load A B COUNT WINDOW DIFFERENT < frames
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, SLOT = 2048, MOST = 4 << 20 };

static unsigned char frames[MOST];
static unsigned char slab[BATCH][SLOT];
static struct iovec outgoing[BATCH], incoming[BATCH];
static struct mmsghdr sending[BATCH], receiving[BATCH];

int main(int argc, char **argv) {
	if (argc != 6) return 2;
	int to = atoi(argv[1]), from = atoi(argv[2]);
	long count = atol(argv[3]), window = atol(argv[4]), sent = 0, received = 0;
	long different = atol(argv[5]), length = 0;
	for (ssize_t piece; (piece = read(0, frames + length, sizeof frames - length)) > 0;) length += piece;
	if (different <= 0 || length < different || length % different != 0) return 2;
	length /= different;
	int size = 1 << 20;
	setsockopt(to, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	for (int i = 0; i < BATCH; i++) {
		incoming[i] = (struct iovec){ slab[i], SLOT };
		sending[i].msg_hdr = (struct msghdr){ .msg_iov = &outgoing[i], .msg_iovlen = 1 };
		receiving[i].msg_hdr = (struct msghdr){ .msg_iov = &incoming[i], .msg_iovlen = 1 };
	}
	struct timespec begin, end;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (received < count) {
		long room = window - (sent - received), left = count - sent;
		long now = left < room ? left : room;
		if (now > BATCH) now = BATCH;
		if (now > 0) {
			for (long i = 0; i < now; i++) {
				outgoing[i] = (struct iovec){ frames + (sent + i) % different * length, length };
			}
			int done = sendmmsg(to, sending, now, MSG_DONTWAIT);
			if (done > 0) sent += done;
		}
		int got = recvmmsg(from, receiving, BATCH, MSG_DONTWAIT, NULL);
		if (got > 0) received += got;
		else if (sent == count || sent - received >= window) {
			struct pollfd wanted = { .fd = from, .events = POLLIN };
			if (poll(&wanted, 1, 30000) == 0) {
				fprintf(stderr, "%ld of %ld frames never came\n", count - received, count);
				return 1;
			}
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld\n", (end.tv_sec - begin.tv_sec) * 1000000000LL + (end.tv_nsec - begin.tv_nsec));
	return 0;
}
