/*
 * vmnet_read and vmnet_write, and where frames come from and go to: a descriptor (a TAP, a packet socket), or the test.
 *
 * After a read the descriptors that were filled are left changed in every field that the caller has to set anew, so that
 * one that does not is found out by the next read, whatever the frame's length was.
 */
#define _GNU_SOURCE
#include "interface.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "linux.h"

#define ETHERNET_HEADER 14
#define LARGEST_FRAME 65552
#define FILL 0xa5
/* How many written frames wait for twin_take: the oldest goes. */
#define WRITTEN_ROOM 8192

/* --- frames --- */

static void push(struct frames *frames, const void *bytes, size_t length) {
	struct frame *frame = malloc(sizeof *frame + length);
	frame->next = NULL;
	frame->length = length;
	memcpy(frame->bytes, bytes, length);
	if (frames->last == NULL) frames->first = frame;
	else frames->last->next = frame;
	frames->last = frame;
	frames->count++;
}

static struct frame *pop(struct frames *frames) {
	struct frame *frame = frames->first;
	if (frame == NULL) return NULL;
	frames->first = frame->next;
	if (frames->first == NULL) frames->last = NULL;
	frames->count--;
	return frame;
}

void forget_frames(struct frames *frames) {
	for (struct frame *frame; (frame = pop(frames)) != NULL;) free(frame);
}

/* --- the memory that was given --- */

/* Remembers the memory of a packet: base addresses in a hash table with open addressing. */
static void remember(interface_ref interface, uint8_t *base, size_t length) {
	if (2 * interface->memory_count >= interface->memory_room) {
		struct memory *old = interface->memory;
		size_t old_room = interface->memory_room;
		interface->memory_room = old_room == 0 ? 1024 : 2 * old_room;
		interface->memory = calloc(interface->memory_room, sizeof *interface->memory);
		interface->memory_count = 0;
		for (size_t i = 0; i < old_room; i++)
			if (old[i].base != NULL) remember(interface, old[i].base, old[i].length);
		free(old);
	}
	size_t at = ((uintptr_t)base >> 4) * 0x9e3779b97f4a7c15ull % interface->memory_room;
	while (interface->memory[at].base != NULL && interface->memory[at].base != base) at = (at + 1) % interface->memory_room;
	if (interface->memory[at].base == NULL) interface->memory_count++;
	interface->memory[at].base = base;
	if (length > interface->memory[at].length) interface->memory[at].length = length;
}

void fill_memory(interface_ref interface) {
	for (size_t i = 0; i < interface->memory_room; i++) {
		struct memory *memory = &interface->memory[i];
		if (memory->base == NULL || twin_value(FILL_AT_STOP) == 0) continue;
		if (!twin_fill(memory->base, memory->length, FILL))
			twin_broken("packet memory at %p was freed before the stop handler", (void *)memory->base);
	}
	free(interface->memory);
	interface->memory = NULL;
	interface->memory_count = interface->memory_room = 0;
}

/* --- the rules of a batch --- */

static void check_batch(struct vmpktdesc *packets, const int *count, long limit, const char *function) {
	if (packets == NULL || count == NULL) twin_broken("%s without descriptors or without a count", function);
	twin_region(count, sizeof *count);
	if (*count < 1) twin_broken("%s of %d packets", function, *count);
	if (*count > limit) twin_broken("%s of %d packets, %ld are allowed", function, *count, limit);
	twin_region(packets, (size_t)*count * sizeof *packets);
	for (int i = 0; i < *count; i++) {
		struct vmpktdesc *packet = &packets[i];
		if (packet->vm_pkt_iovcnt != 1)
			twin_broken("%s: descriptor %d has iovcnt %u and not 1, or was not reset", function, i, packet->vm_pkt_iovcnt);
		if (packet->vm_pkt_iov == NULL) twin_broken("%s: descriptor %d has no iovec", function, i);
		twin_region(packet->vm_pkt_iov, sizeof *packet->vm_pkt_iov);
		if (packet->vm_flags != 0)
			twin_broken("%s: descriptor %d was not reset: its flags are 0x%x", function, i, packet->vm_flags);
		uint8_t *base = packet->vm_pkt_iov->iov_base;
		if (base == NULL) twin_broken("%s: descriptor %d has no memory", function, i);
		if (i == 0) continue;
		/* Neighbours only: all pairs would cost more than the call itself. */
		const struct iovec *before = packets[i - 1].vm_pkt_iov;
		if (before == packet->vm_pkt_iov || (base >= (uint8_t *)before->iov_base &&
			base < (uint8_t *)before->iov_base + before->iov_len))
			twin_broken("%s: descriptors %d and %d share memory", function, i - 1, i);
	}
}

vmnet_return_t vmnet_read(interface_ref interface, struct vmpktdesc *packets, int *count) {
	enter(interface, "vmnet_read");
	check_batch(packets, count, interface->read_limit, "vmnet_read");
	for (int i = 0; i < *count; i++) {
		struct vmpktdesc *packet = &packets[i];
		if (packet->vm_pkt_size < (size_t)interface->max_packet_size)
			twin_broken("vmnet_read: descriptor %d was not reset: its packet size is %zu, not %ld or more", i,
				packet->vm_pkt_size, interface->max_packet_size);
		if (packet->vm_pkt_iov->iov_len != packet->vm_pkt_size)
			twin_broken("vmnet_read: descriptor %d was not reset: iov_len %zu, packet size %zu", i, packet->vm_pkt_iov->iov_len,
				packet->vm_pkt_size);
		twin_region(packet->vm_pkt_iov->iov_base, packet->vm_pkt_size);
		remember(interface, packet->vm_pkt_iov->iov_base, packet->vm_pkt_size);
	}
	twin_add(READS, 1);
	long status = twin_once(READ_STATUS);
	int wanted = *count, n = 0;
	long cap = twin_value(READ_CAP);
	if (cap > 0 && wanted > cap) wanted = (int)cap;
	for (struct frame *frame; status == 0 && n < wanted && (frame = pop(&interface->received)) != NULL; n++) {
		struct iovec *iovec = packets[n].vm_pkt_iov;
		memcpy(iovec->iov_base, frame->bytes, frame->length);
		packets[n].vm_pkt_size = iovec->iov_len = frame->length;
		packets[n].vm_flags = 0x80000000;
		packets[n].vm_pkt_iovcnt = 0;
		free(frame);
	}
	*count = n;
	twin_add(READ_FRAMES, n);
	if (status == 0 && n == 0) {
		interface->armed = interface->event_handler != NULL;
		long every = twin_value(EMPTY_EVERY);
		if (every > 0 && ++interface->drains % every == 0) fire(interface, 1, false);
	}
	leave();
	return status == 0 ? VMNET_SUCCESS : (vmnet_return_t)status;
}

/* True when the frame went out, or was dropped as a network drops: false when there is no room for now. */
static bool put(interface_ref interface, const struct iovec *packet) {
	if (interface->fd >= 0) {
		/* A socket must not make us wait; a TAP is none, and never does. */
		long n = linux_send(interface->fd, packet->iov_base, packet->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == ENOTSOCK) n = linux_write(interface->fd, packet->iov_base, packet->iov_len);
		return n >= 0 || errno != EAGAIN;
	}
	push(&interface->written, packet->iov_base, packet->iov_len);
	if (interface->written.count > WRITTEN_ROOM) free(pop(&interface->written));
	return true;
}

vmnet_return_t vmnet_write(interface_ref interface, struct vmpktdesc *packets, int *count) {
	enter(interface, "vmnet_write");
	check_batch(packets, count, interface->write_limit, "vmnet_write");
	size_t bytes = 0;
	vmnet_return_t status = VMNET_SUCCESS;
	for (int i = 0; i < *count; i++) {
		struct vmpktdesc *packet = &packets[i];
		size_t length = packet->vm_pkt_size;
		if (packet->vm_pkt_iov->iov_len != length)
			twin_broken("vmnet_write: descriptor %d has iov_len %zu, packet size %zu", i, packet->vm_pkt_iov->iov_len, length);
		twin_region(packet->vm_pkt_iov->iov_base, length);
		if (length > (size_t)interface->max_packet_size) status = VMNET_PACKET_TOO_BIG;
		else if (length < ETHERNET_HEADER) status = VMNET_INVALID_ARGUMENT;
		else remember(interface, packet->vm_pkt_iov->iov_base, length);
		bytes += length;
	}
	twin_add(WRITES, 1);
	if (twin_value(BYTE_LIMIT) > 0 && bytes > (size_t)twin_value(BYTE_LIMIT)) status = VMNET_TOO_MANY_PACKETS;
	if (twin_times(WRITE_EXHAUSTED)) status = VMNET_BUFFER_EXHAUSTED;
	long injected = twin_once(WRITE_STATUS), partial = twin_once(WRITE_PARTIAL), cap = twin_value(WRITE_CAP);
	if (injected != 0) status = (vmnet_return_t)injected;
	int wanted = *count, n = 0;
	if (partial > 0 && wanted > partial) wanted = (int)partial;
	if (cap > 0 && wanted > cap) wanted = (int)cap;
	while (status == VMNET_SUCCESS && n < wanted && put(interface, packets[n].vm_pkt_iov)) n++;
	if (status == VMNET_SUCCESS && n == 0) status = VMNET_BUFFER_EXHAUSTED;
	*count = n;
	twin_add(WRITTEN_FRAMES, n);
	leave();
	return status;
}

/* --- from outside --- */

bool receive(interface_ref interface, const void *bytes, size_t length) {
	twin_add(RECEIVED_FRAMES, 1);
	if (interface->received.count >= interface->ring_size || length > (size_t)interface->max_packet_size) {
		twin_add(DROPPED_FRAMES, 1);
		return false;
	}
	push(&interface->received, bytes, length);
	if (interface->armed) {
		interface->armed = false;
		long storm = twin_once(EVENT_STORM);
		fire(interface, storm > 1 ? storm : 1, false);
	}
	return true;
}

int twin_deliver(const void *frame, size_t length) {
	pthread_mutex_lock(&vmnet_lock);
	interface_ref interface = last_running();
	bool taken = interface != NULL && receive(interface, frame, length);
	pthread_mutex_unlock(&vmnet_lock);
	return taken;
}

size_t twin_take(void *buffer, size_t size) {
	pthread_mutex_lock(&vmnet_lock);
	interface_ref interface = last_running();
	struct frame *frame = interface == NULL ? NULL : pop(&interface->written);
	pthread_mutex_unlock(&vmnet_lock);
	if (frame == NULL) return 0;
	size_t length = frame->length;
	memcpy(buffer, frame->bytes, length < size ? length : size);
	free(frame);
	return length;
}

/* --- attached --- */

#define PLACES 64
static int places[PLACES];
static int first_place, placed;

static int place(int fd) {
	pthread_mutex_lock(&vmnet_lock);
	bool room = placed < PLACES;
	if (room) places[(first_place + placed++) % PLACES] = fd;
	pthread_mutex_unlock(&vmnet_lock);
	return room ? 0 : -1;
}

int twin_attach(int fd) {
	int copy = linux_fcntl(fd, 1030 /* F_DUPFD_CLOEXEC */, 3);
	int one = 1;
	/* A packet socket would hand back what it has just sent; others do not know the option. */
	if (copy >= 0) linux_setsockopt(copy, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
	if (copy < 0 || place(copy) < 0) return -1;
	return 0;
}

int twin_attach_tap(const char *name) {
	int fd = linux_open("/dev/net/tun", 02000002 /* O_RDWR | O_CLOEXEC */, 0);
	if (fd < 0) return errno;
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
	if (linux_ioctl(fd, TUNSETIFF, &request) < 0) {
		int error = errno;
		linux_close(fd);
		return error;
	}
	return place(fd) < 0 ? ENFILE : 0;
}

static void *read_frames(void *argument) {
	interface_ref interface = argument;
	uint8_t *bytes = malloc(LARGEST_FRAME);
	struct pollfd watched[2] = {{interface->fd, POLLIN, 0}, {interface->wake[0], POLLIN, 0}};
	int failures = 0;
	while (failures < 1000) {
		if (linux_poll(watched, 2, -1) < 0 && errno != EINTR) break;
		if (watched[1].revents != 0) break;
		if (watched[0].revents == 0) continue;
		long n = linux_read(interface->fd, bytes, LARGEST_FRAME);
		if (n <= 0) {
			/* The far end went, or the link is down for now: not at full speed. */
			failures++;
			twin_sleep(10);
			continue;
		}
		failures = 0;
		pthread_mutex_lock(&vmnet_lock);
		receive(interface, bytes, (size_t)n);
		pthread_mutex_unlock(&vmnet_lock);
	}
	free(bytes);
	return NULL;
}

void attach(interface_ref interface) {
	if (placed == 0) return;
	interface->fd = places[first_place];
	first_place = (first_place + 1) % PLACES;
	placed--;
	if (pipe(interface->wake) < 0) twin_broken("no pipe for an attached interface");
	if (pthread_create(&interface->reader, NULL, read_frames, interface) != 0)
		twin_broken("no thread for an attached interface");
	interface->reading = true;
}

void detach(interface_ref interface) {
	if (!interface->reading) return;
	linux_write(interface->wake[1], "", 1);
	pthread_join(interface->reader, NULL);
	linux_close(interface->wake[0]);
	linux_close(interface->wake[1]);
	linux_close(interface->fd);
	interface->fd = -1;
	interface->reading = false;
}
