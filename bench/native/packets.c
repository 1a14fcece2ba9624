/*
 * Small packets as fast as they go: what a packet costs on its way through this machine.
 *
 *   packets ADDRESS PORT SECONDS
 *
 * Sends UDP datagrams of 18 bytes from one socket and prints how many a second.
 */
#include <arpa/inet.h>
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
	if (argc != 4) return 1;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[2])) };
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) return 1;
	char bytes[18] = { 0 };
	double seconds = atof(argv[3]), begin = now(), elapsed;
	long sent = 0;
	do {
		for (int i = 0; i < 256; i++) if (send(fd, bytes, sizeof bytes, 0) > 0) sent++;
		elapsed = now() - begin;
	} while (elapsed < seconds);
	printf("%.0f\n", sent / elapsed);
	return 0;
}
