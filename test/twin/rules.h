/*
 * What the stand-ins share: breaking a rule, counted objects, blocks, injections. Exported by libSystem's stand-in under
 * names that begin with twin_, so that the four libraries share one state.
 */
#ifndef TWIN_RULES_H
#define TWIN_RULES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twin.h"

/* Apple's exports are made by default visibility; whatever is internal stays so by static. */
#define APPLE TWIN_EXPORT

/* Ends the process with SIGABRT and one line. */
APPLE _Noreturn void twin_broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- injections: twin.h tells each; the order is that of the names in control.c --- */
enum twin_knob {
	START_STATUS, START_NULL, START_DELAY, STOP_STATUS, STOP_HANDLER_STATUS, STOP_DELAY, ENTITLED, FILL_AT_STOP, LOST_STOP,
	OMIT_PACKET_LIMITS, READ_LIMIT, WRITE_LIMIT, MAX_PACKET_SIZE, MTU, RECEIVE_RING,
	READ_STATUS, WRITE_STATUS, WRITE_EXHAUSTED, WRITE_PARTIAL, WRITE_CAP, READ_CAP, BYTE_LIMIT,
	EVENT_STORM, EMPTY_EVERY, LATE_EVENT, EVENT_AFTER_STOP,
	RULE_STATUS, RULE_REFUSED, RULE_DELAY, RULES_ON_NETWORKS, NETWORK_STATUS, CONFIGURATION_STATUS, CONFIGURATION_CALL,
	SUBNET_SHIFT, CANONICAL_SUBNET,
	LOCK_BUSY, LOCK_DELAY, STALE, COMMIT_STATUS, NOT_ROOT,
	SEND_FULL, SEND_CAP, RECEIVE_CAP, SEND_ERRNO, RECEIVE_ERRNO, BATCH_LIMIT, PEER_ROOM, CHECK_LEAKS,
	KNOBS
};
enum twin_counter {
	STARTS, STARTED, STOPS, READS, WRITES, READ_FRAMES, WRITTEN_FRAMES, RECEIVED_FRAMES, DROPPED_FRAMES, EVENTS,
	EMPTY_EVENTS, RULES, NETWORKS, COMMITS, LOCKS, SENDS, RECEIVES, SENT_DATAGRAMS, RECEIVED_DATAGRAMS, SYSLOGS,
	COUNTERS
};
/* The value that is set. */
APPLE long twin_value(enum twin_knob knob);
/* For "times": true, and one less left, when there is one left. */
APPLE bool twin_times(enum twin_knob knob);
/* For "once": the value, which is 0 from now on. */
APPLE long twin_once(enum twin_knob knob);
APPLE void twin_add(enum twin_counter counter, long n);
/* Keeps a copy for twin_describe. */
APPLE void twin_note(const char *what, const char *json);
APPLE const char *twin_folder(void);

APPLE void twin_sleep(long milliseconds);

/* --- counted objects --- */
enum twin_family { XPC_FAMILY = 1, CF_FAMILY, DISPATCH_FAMILY };

struct twin_class {
	const char *name;
	enum twin_family family;
	/* Gives up what the object holds; NULL for nothing. */
	void (*destroy)(void *object);
	_Atomic long live;
	struct twin_class *next;
	bool listed;
};

struct twin_object {
	uint64_t magic;
	struct twin_class *class;
	_Atomic long count;
	/* Never counted and never destroyed: the main queue, true and false. */
	bool immortal;
};

#define TWIN_LIVE 0x6c697665746f6279ull
#define TWIN_DEAD 0x64656164746f6279ull

/* A zeroed object of this size with the count 1. */
APPLE void *twin_new(struct twin_class *class, size_t size);
/* Breaks a rule unless the object lives and is of the family (and of the class, when one is given). */
APPLE void twin_check(const void *object, enum twin_family family, const struct twin_class *class, const char *function);
APPLE void twin_retain(void *object);
APPLE void twin_release(void *object);
/* Interfaces that run count as leaks as well. */
APPLE void twin_running_interfaces(long more);

/* --- blocks --- */
/* Copies a handler that was given, after a look at its literal; NULL stays NULL. */
APPLE void *twin_block_copy(const void *block, const char *whose);
/* Looks at the literal again: its memory must not have been freed while the handler was pending. */
APPLE void twin_block_check(const void *block, const char *whose);
APPLE void twin_block_release(void *block);
/* The same in two steps, for a handler after which the process may end at once: before the call, what it holds is counted
 * no more; after the call, should that come, it is released. */
APPLE void twin_block_uncount(const void *block);
APPLE void twin_block_drop(void *block);

/* --- memory that was given --- */
/* Under AddressSanitizer: a report when these bytes may not be used. */
APPLE void twin_region(const void *bytes, size_t length);
/* Writes the pattern; false when there is no memory any more. */
APPLE bool twin_fill(void *bytes, size_t length, uint8_t pattern);
/* Whether the bytes are still the same, without a fault when there is no memory any more. */
APPLE bool twin_same(const void *bytes, const void *copy, size_t length);

#endif
