/*
 * Counts UDP datagrams.
 *
 *   datagrams ADDRESS PORT SECONDS
 *
 * Prints "ready", waits for the first one, and prints how many came in the seconds after it.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static double now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
	if (argc != 4) return 2;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[2])) };
	inet_pton(AF_INET, argv[1], &at.sin_addr);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 16 << 20;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) return perror("bind"), 1;
	puts("ready");
	fflush(stdout);
	char byte;
	recv(fd, &byte, 1, 0);
	double end = now() + atof(argv[3]);
	long count = 1;
	struct pollfd wanted = { .fd = fd, .events = POLLIN };
	for (double left; (left = end - now()) > 0;) {
		if (poll(&wanted, 1, left * 1000 + 1) > 0)
			for (int i = 0; i < 256 && recv(fd, &byte, 1, MSG_DONTWAIT) >= 0; i++) count++;
	}
	printf("%ld\n", count);
	return 0;
}
