/*
 * Whether the far end of a Unix datagram socket is gone. Linux tells only by the next send, or by its socket diagnosis:
 * the number of the peer's inode is 0 there once the peer was closed (sock_diag(7), UNIX_DIAG_PEER).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "darwin.h"
#include "linux.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int diagnosis = -1;

enum fate { ALIVE, DEAD, UNKNOWN };

static int open_diagnosis(void) { return linux_socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG); }

static enum fate ask(int netlink, uint32_t inode) {
	struct { struct nlmsghdr header; struct unix_diag_req request; } question = {
		.header = {.nlmsg_len = sizeof question, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
		.request = {.sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_ino = inode, .udiag_show = UDIAG_SHOW_PEER,
			.udiag_cookie = {~0u, ~0u}},
	};
	if (linux_write(netlink, &question, sizeof question) < 0) return UNKNOWN;
	_Alignas(struct nlmsghdr) uint8_t answer[1024];
	long n = linux_read(netlink, answer, sizeof answer);
	const struct nlmsghdr *header = (const void *)answer;
	if (n < (long)sizeof *header || header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return UNKNOWN;
	int left = (int)n - (int)NLMSG_LENGTH(sizeof(struct unix_diag_msg));
	const struct rtattr *attribute = (const void *)(answer + NLMSG_LENGTH(sizeof(struct unix_diag_msg)));
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == UNIX_DIAG_PEER) return *(const uint32_t *)RTA_DATA(attribute) == 0 ? DEAD : ALIVE;
	return DEAD; /* no peer at all */
}

struct elsewhere {
	int namespace;
	uint32_t inode;
	enum fate fate;
};

/* A thread may change its network namespace without a trace in the others. */
static void *ask_elsewhere(void *argument) {
	struct elsewhere *elsewhere = argument;
	int netlink = setns(elsewhere->namespace, CLONE_NEWNET) < 0 ? -1 : open_diagnosis();
	elsewhere->fate = netlink < 0 ? UNKNOWN : ask(netlink, elsewhere->inode);
	if (netlink >= 0) linux_close(netlink);
	return NULL;
}

bool peer_is_dead(int fd) {
	struct stat found;
	if (syscall(SYS_fstat, (long)fd, &found) < 0) return false;
	uint32_t inode = (uint32_t)found.st_ino;
	pthread_mutex_lock(&lock);
	if (diagnosis < 0) diagnosis = open_diagnosis();
	enum fate fate = diagnosis < 0 ? UNKNOWN : ask(diagnosis, inode);
	if (fate == UNKNOWN) {
		struct elsewhere elsewhere = {linux_ioctl(fd, 0x894c /* SIOCGSKNS */, 0), inode, UNKNOWN};
		pthread_t thread;
		if (elsewhere.namespace >= 0) {
			if (pthread_create(&thread, NULL, ask_elsewhere, &elsewhere) == 0) pthread_join(thread, NULL);
			linux_close(elsewhere.namespace);
		}
		fate = elsewhere.fate;
	}
	pthread_mutex_unlock(&lock);
	if (fate == UNKNOWN) twin_broken("Linux does not tell whether the peer of a socket is gone (sock_diag)");
	return fate == DEAD;
}
