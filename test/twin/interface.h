/* What the parts of vmnet's stand-in know of an interface. One lock for all: see interface.c. */
#ifndef TWIN_INTERFACE_H
#define TWIN_INTERFACE_H

#include <pthread.h>
#include <stdio.h>

#include "vmnet.h"

enum state { STARTING, REFUSED, RUNNING, STOPPING, STOPPED };

struct frame {
	struct frame *next;
	size_t length;
	uint8_t bytes[];
};

struct frames {
	struct frame *first, *last;
	long count;
};

struct memory {
	uint8_t *base;
	size_t length;
};

struct network_settings {
	/* Host byte order. */
	uint32_t gateway, mask;
	/* Last address of the DHCP pool. */
	uint32_t end;
	uint32_t mtu;
};

struct vmnet_interface {
	struct vmnet_interface *next;
	enum state state;
	operating_modes_t mode;
	struct network_settings settings;
	uint8_t id[16];
	void *network; /* retained while the interface runs, when it was started with one */
	bool reports_limits;
	long read_limit, write_limit, max_packet_size, ring_size;

	struct frames received, written;
	/* The packet memory that was given, which must stay until the stop handler. */
	struct memory *memory;
	size_t memory_count, memory_room;

	vmnet_event_handler event_handler, last_event_handler;
	dispatch_queue_t event_queue, last_event_queue;
	bool armed;
	long drains;

	int fd, wake[2];
	pthread_t reader;
	bool reading;
};

extern pthread_mutex_t vmnet_lock;

/* Breaks a rule unless the interface runs. Holds the lock afterwards. */
void enter(interface_ref interface, const char *function);
void leave(void);
/* The running interface that was started last, or NULL. With the lock held. */
interface_ref last_running(void);

/* Starts: with a network when one is given, which is retained while the interface runs. */
interface_ref start(void *network, const struct network_settings *settings, operating_modes_t mode,
	xpc_object_t description, dispatch_queue_t queue, vmnet_start_handler handler, const char *function);

/* Lets the event callback run so many times. With the lock held. */
void fire(interface_ref interface, long times, bool after_clearing);

/* packets.c */
void attach(interface_ref interface);
void detach(interface_ref interface);
bool receive(interface_ref interface, const void *bytes, size_t length);
void fill_memory(interface_ref interface);
void forget_frames(struct frames *frames);

/* forwarding.c */
void forget_rules(const void *owner);
/* Reserves the external port: false when it is taken. With the lock held. */
bool add_rule(const void *owner, uint8_t protocol, uint16_t external_port, uint8_t family, const void *internal_address,
	uint16_t internal_port);

/* network.c; the stand-ins for older systems have none. */
void retain_network(void *network);
void release_network(void *network);

#endif
