/*
 * Connections, one after the other on many sockets: how many a second, and whether each one ends.
 *
 *   connections serve ADDRESS PORT
 *       Listens on PORT and the 7 after it. Answers the first byte of each connection with one, and closes.
 *   connections open ADDRESS PORT COUNT AT_ONCE
 *       Opens COUNT connections, AT_ONCE at a time: one byte there, one back, the other side's end, the own one. Prints how
 *       many a second, how many failed, and how many were not over after 20 seconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORTS 8
#define PATIENCE 20
#define MOST 65536

enum state { CONNECTING, ASKING, ENDING };

static int queue;
/* By descriptor. */
static enum state states[MOST];
static double begun[MOST];
static int listens[MOST];

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void watch(int fd, unsigned events, int operation)
{
	struct epoll_event event = { .events = events, .data.fd = fd };
	epoll_ctl(queue, operation, fd, &event);
}

static struct sockaddr_in address_of(const char *text, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	inet_pton(AF_INET, text, &address.sin_addr);
	return address;
}

static int serve(const char *text, int port)
{
	for (int i = 0; i < PORTS; i++) {
		struct sockaddr_in address = address_of(text, port + i);
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
		if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) return 1;
		listens[fd] = 1;
		watch(fd, EPOLLIN, EPOLL_CTL_ADD);
	}
	puts("ready");
	fflush(stdout);
	struct epoll_event events[256];
	for (;;) {
		int count = epoll_wait(queue, events, 256, -1);
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			if (listens[fd]) {
				int one;
				while ((one = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) watch(one, EPOLLIN, EPOLL_CTL_ADD);
				continue;
			}
			char byte;
			if (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) < 0) errno = 0;
			close(fd);
		}
	}
}

static int begin(const char *text, int port, long number)
{
	struct sockaddr_in address = address_of(text, port + number % PORTS);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || fd >= MOST) return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	states[fd] = CONNECTING;
	begun[fd] = now();
	watch(fd, EPOLLOUT, EPOLL_CTL_ADD);
	return fd;
}

/* Returns 0 while it goes on, 1 when it is over, -1 when it failed. */
static int step(int fd)
{
	char byte = 'x';
	if (states[fd] == CONNECTING) {
		if (write(fd, &byte, 1) != 1) return errno == EAGAIN ? 0 : -1;
		states[fd] = ASKING;
		watch(fd, EPOLLIN, EPOLL_CTL_MOD);
		return 0;
	}
	for (;;) {
		ssize_t size = read(fd, &byte, 1);
		if (size < 0) return errno == EAGAIN ? 0 : -1;
		if (size == 0) return states[fd] == ENDING ? 1 : -1;
		states[fd] = ENDING;
	}
}

static int open_all(const char *text, int port, long count, long at_once)
{
	long started = 0, over = 0, failed = 0, hung = 0, open = 0;
	double start = now(), looked = start;
	struct epoll_event events[256];
	while (over + failed + hung < count) {
		while (open < at_once && started < count) {
			if (begin(text, port, started) < 0) failed++;
			else open++;
			started++;
		}
		int ready = epoll_wait(queue, events, 256, 100);
		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd, result = step(fd);
			if (result == 0) continue;
			close(fd);
			begun[fd] = 0;
			open--;
			if (result > 0) over++;
			else failed++;
		}
		if (now() - looked < 1) continue;
		looked = now();
		for (int fd = 0; fd < MOST; fd++) {
			if (begun[fd] == 0 || looked - begun[fd] < PATIENCE) continue;
			close(fd);
			begun[fd] = 0;
			open--;
			hung++;
		}
	}
	printf("%.0f %ld %ld\n", count / (now() - start), failed, hung);
	return 0;
}

int main(int argc, char **argv)
{
	struct rlimit limit = { MOST, MOST };
	setrlimit(RLIMIT_NOFILE, &limit);
	queue = epoll_create1(0);
	if (argc == 4 && strcmp(argv[1], "serve") == 0) return serve(argv[2], atoi(argv[3]));
	if (argc == 6 && strcmp(argv[1], "open") == 0) return open_all(argv[2], atoi(argv[3]), atol(argv[4]), atol(argv[5]));
	return 1;
}
