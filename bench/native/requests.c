/*
 * One byte there and one back over TCP, again and again: how long a request takes.
 *
 *   requests serve ADDRESS PORT           prints "ready" and answers one client after the other
 *   requests ask ADDRESS PORT COUNT       prints the median and the 99th percentile in microseconds
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WARM_UP = 200 };

static double now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv) {
	if (argc < 4) return 2;
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[3])) };
	inet_pton(AF_INET, argv[2], &at.sin_addr);
	char byte = 0;
	if (strcmp(argv[1], "serve") == 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 8) < 0) return perror("listen"), 1;
		puts("ready");
		fflush(stdout);
		for (;;) {
			int client = accept(fd, NULL, NULL);
			setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
			while (read(client, &byte, 1) == 1 && write(client, &byte, 1) == 1);
			close(client);
		}
	}
	if (argc != 5) return 2;
	int count = atoi(argv[4]);
	double *times = calloc(count, sizeof *times);
	if (connect(fd, (struct sockaddr *)&at, sizeof at) < 0) return perror("connect"), 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	for (int i = -WARM_UP; i < count; i++) {
		double begin = now();
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) return perror("request"), 1;
		if (i >= 0) times[i] = now() - begin;
	}
	qsort(times, count, sizeof *times, compare);
	printf("%.1f %.1f\n", times[count / 2], times[count * 99 / 100]);
	return 0;
}
