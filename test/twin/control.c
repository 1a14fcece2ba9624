/* The shared state of the stand-ins: injections, counters, counted objects, blocks, leaks. */
#define _GNU_SOURCE
#include "rules.h"

#include <Block.h>
#include <Block_private.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "linux.h"

#if __has_feature(address_sanitizer)
void *__asan_region_is_poisoned(void *begin, size_t size);
#define ASAN 1
#else
#define ASAN 0
#endif

static void say(const char *text) {
	size_t length = strlen(text);
	while (length > 0) {
		long n = linux_write(2, text, length);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return;
		text += n;
		length -= (size_t)n;
	}
}

void twin_broken(const char *format, ...) {
	char line[512];
	int used = snprintf(line, sizeof line, "twin: ");
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line + used, sizeof line - (size_t)used - 1, format, arguments);
	va_end(arguments);
	strcat(line, "\n");
	say(line);
	abort();
}

/* --- injections and counters --- */

static const char *const KNOB_NAMES[KNOBS] = {
	"start status", "start null", "start delay", "stop status", "stop handler status", "stop delay", "entitled",
	"fill at stop", "lost stop",
	"omit packet limits", "read limit", "write limit", "max packet size", "mtu", "receive ring",
	"read status", "write status", "write exhausted", "write partial", "write cap", "read cap", "byte limit",
	"event storm", "empty every", "late event", "event after stop",
	"rule status", "rule refused", "rule delay", "rules on networks", "network status", "configuration status",
	"configuration call",
	"subnet shift", "canonical subnet",
	"lock busy", "lock delay", "stale", "commit status", "not root",
	"send full", "send cap", "receive cap", "send errno", "receive errno", "batch limit", "peer room",
	"check leaks at exit",
};
static _Atomic long knobs[KNOBS] = {
	[FILL_AT_STOP] = 1, [READ_LIMIT] = 256, [WRITE_LIMIT] = 256, [MAX_PACKET_SIZE] = 1514, [MTU] = 1500,
	[RECEIVE_RING] = 1024, [EMPTY_EVERY] = 8, [BATCH_LIMIT] = 256, [PEER_ROOM] = 4 << 20,
};
static const char *const COUNTER_NAMES[COUNTERS] = {
	"starts", "started", "stops", "reads", "writes", "read frames", "written frames", "received frames",
	"dropped frames", "events", "empty events", "rules", "networks", "commits", "locks", "sends", "receives",
	"sent datagrams", "received datagrams", "syslogs",
};
static _Atomic long counters[COUNTERS];

static void check_leaks_at_exit(void) {
	if (twin_value(CHECK_LEAKS) != 0 && twin_report_leaks() > 0) abort();
}

static void check_at_exit(void) {
	if (atexit(check_leaks_at_exit) != 0) twin_broken("no room for an exit handler");
}

void twin_inject(const char *what, long value) {
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	for (int i = 0; i < KNOBS; i++) {
		if (strcmp(what, KNOB_NAMES[i]) != 0) continue;
		atomic_store(&knobs[i], value);
		if (i == CHECK_LEAKS) pthread_once(&once, check_at_exit);
		return;
	}
	twin_broken("there is no injection \"%s\"", what);
}

long twin_value(enum twin_knob knob) { return atomic_load(&knobs[knob]); }

bool twin_times(enum twin_knob knob) {
	long left = atomic_load(&knobs[knob]);
	while (left > 0)
		if (atomic_compare_exchange_weak(&knobs[knob], &left, left - 1)) return true;
	return false;
}

long twin_once(enum twin_knob knob) { return atomic_exchange(&knobs[knob], 0); }

void twin_add(enum twin_counter counter, long n) { atomic_fetch_add(&counters[counter], n); }

long twin_count(const char *what) {
	for (int i = 0; i < COUNTERS; i++)
		if (strcmp(what, COUNTER_NAMES[i]) == 0) return atomic_load(&counters[i]);
	twin_broken("there is no counter \"%s\"", what);
}

/* --- descriptions, the preferences' folder --- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* What is told before the first note, the last note, and the copy that was lent. */
static struct { const char *what, *first; char *noted, *lent; } notes[] = {
	{"start", "null", NULL, NULL}, {"rules", "[]", NULL, NULL}, {"network", "null", NULL, NULL}};
static char *folder;

void twin_note(const char *what, const char *json) {
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
		if (strcmp(notes[i].what, what) == 0) {
			free(notes[i].noted);
			notes[i].noted = strdup(json);
		}
	pthread_mutex_unlock(&lock);
}

const char *twin_describe(const char *what) {
	for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
		if (strcmp(notes[i].what, what) != 0) continue;
		pthread_mutex_lock(&lock);
		free(notes[i].lent);
		notes[i].lent = strdup(notes[i].noted == NULL ? notes[i].first : notes[i].noted);
		pthread_mutex_unlock(&lock);
		return notes[i].lent;
	}
	twin_broken("there is no description \"%s\"", what);
}

void twin_preferences_folder(const char *path) {
	pthread_mutex_lock(&lock);
	folder = strdup(path);
	pthread_mutex_unlock(&lock);
}

const char *twin_folder(void) {
	if (folder == NULL) twin_broken("preferences were used before twin_preferences_folder");
	return folder;
}

void twin_sleep(long milliseconds) {
	if (milliseconds <= 0) return;
	struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
	while (nanosleep(&left, &left) < 0 && errno == EINTR) {
	}
}

/* --- counted objects --- */

static struct twin_class *classes;
static _Atomic long blocks, interfaces;

void twin_running_interfaces(long more) { atomic_fetch_add(&interfaces, more); }

void *twin_new(struct twin_class *class, size_t size) {
	struct twin_object *object = calloc(1, size);
	if (object == NULL) twin_broken("no memory");
	object->magic = TWIN_LIVE;
	object->class = class;
	object->count = 1;
	atomic_fetch_add(&class->live, 1);
	pthread_mutex_lock(&lock);
	if (!class->listed) {
		class->listed = true;
		class->next = classes;
		classes = class;
	}
	pthread_mutex_unlock(&lock);
	return object;
}

void twin_check(const void *given, enum twin_family family, const struct twin_class *class, const char *function) {
	const struct twin_object *object = given;
	if (object == NULL) twin_broken("%s was given NULL", function);
	if ((intptr_t)object < 0) twin_broken("%s was given a handle of CoreFoundation's", function);
	if (((uintptr_t)object & 7) != 0 || (uintptr_t)object < 4096) twin_broken("%s was given no object", function);
	if (object->magic == TWIN_DEAD) twin_broken("%s was given an object after its last release", function);
	if (object->magic != TWIN_LIVE) twin_broken("%s was given no object", function);
	if (object->class->family != family || (class != NULL && object->class != class))
		twin_broken("%s was given an object of another type: %s", function, object->class->name);
}

void twin_retain(void *given) {
	struct twin_object *object = given;
	if (!object->immortal) atomic_fetch_add(&object->count, 1);
}

/* Dead objects wait here for a while, so that a late use is noticed. AddressSanitizer has its own. */
#define QUARANTINE 1024
static void *quarantine[QUARANTINE];
static size_t next_quarantined;

void twin_release(void *given) {
	struct twin_object *object = given;
	if (object->magic != TWIN_LIVE) twin_broken("an object was released once too often: after its last release");
	if (object->immortal) return;
	if (atomic_fetch_sub(&object->count, 1) != 1) return;
	if (object->class->destroy != NULL) object->class->destroy(object);
	atomic_fetch_sub(&object->class->live, 1);
	object->magic = TWIN_DEAD;
	void *oldest = object;
	if (!ASAN) {
		pthread_mutex_lock(&lock);
		oldest = quarantine[next_quarantined];
		quarantine[next_quarantined] = object;
		next_quarantined = (next_quarantined + 1) % QUARANTINE;
		pthread_mutex_unlock(&lock);
	}
	free(oldest);
}

static long leaked(const char *name, long n) {
	if (n <= 0) return 0;
	char line[128];
	snprintf(line, sizeof line, "twin: leaked: %ld %s\n", n, name);
	say(line);
	return n;
}

long twin_held(void) {
	long total = atomic_load(&interfaces) + atomic_load(&blocks);
	pthread_mutex_lock(&lock);
	for (struct twin_class *class = classes; class != NULL; class = class->next) total += atomic_load(&class->live);
	pthread_mutex_unlock(&lock);
	return total;
}

long twin_report_leaks(void) {
	/* A foreign thread may still be on its way out of the last handler. */
	for (int i = 0; i < 100 && twin_held() > 0; i++) twin_sleep(10);
	long total = leaked("interface not stopped", atomic_load(&interfaces)) + leaked("block", atomic_load(&blocks));
	pthread_mutex_lock(&lock);
	for (struct twin_class *class = classes; class != NULL; class = class->next)
		total += leaked(class->name, atomic_load(&class->live));
	pthread_mutex_unlock(&lock);
	return total;
}

/* --- blocks --- */

#define SMALL_DESCRIPTOR (1 << 22)

void twin_block_check(const void *given, const char *whose) {
	const struct Block_layout *block = given;
	twin_region(block, 32);
	bool global = block->isa == (void *)_NSConcreteGlobalBlock;
	if (!global && block->isa != (void *)_NSConcreteStackBlock && block->isa != (void *)_NSConcreteMallocBlock)
		twin_broken("the handler of %s is no block (its isa), or was freed while it was pending", whose);
	if (global != ((block->flags & BLOCK_IS_GLOBAL) != 0))
		twin_broken("the block of %s has flags 0x%x that do not fit its isa", whose, block->flags);
	if ((block->flags & SMALL_DESCRIPTOR) != 0) twin_broken("the block of %s claims a small descriptor", whose);
	if (block->reserved != 0) twin_broken("the block of %s has reserved bits set", whose);
	if (block->invoke == NULL || block->descriptor == NULL) twin_broken("the block of %s is incomplete", whose);
	twin_region(block->descriptor, 16);
	const unsigned long *descriptor = (const void *)block->descriptor;
	if (descriptor[0] != 0 || descriptor[1] < 32 || descriptor[1] > 65536)
		twin_broken("the descriptor of the block of %s is wrong: %lu, %lu", whose, descriptor[0], descriptor[1]);
}

void *twin_block_copy(const void *block, const char *whose) {
	if (block == NULL) return NULL;
	twin_block_check(block, whose);
	atomic_fetch_add(&blocks, 1);
	return _Block_copy(block);
}

void twin_block_uncount(const void *block) {
	if (block != NULL) atomic_fetch_sub(&blocks, 1);
}

void twin_block_drop(void *block) {
	if (block != NULL) _Block_release(block);
}

void twin_block_release(void *block) {
	twin_block_uncount(block);
	twin_block_drop(block);
}

/* --- memory that was given --- */

void twin_region(const void *bytes, size_t length) {
#if ASAN
	const volatile uint8_t *bad = __asan_region_is_poisoned((void *)bytes, length);
	if (bad != NULL) (void)*bad; /* the report comes from here */
#else
	(void)bytes;
	(void)length;
#endif
}

bool twin_fill(void *bytes, size_t length, uint8_t pattern) {
	twin_region(bytes, length);
	uint8_t *copy = malloc(length);
	memset(copy, pattern, length);
	struct iovec from = {copy, length}, to = {bytes, length};
	/* Through the kernel, which answers EFAULT where a plain write would end the process without a word. */
	long n = syscall(SYS_process_vm_writev, (long)getpid(), &from, 1L, &to, 1L, 0L);
	if (n < 0 && errno != EFAULT) {
		memset(bytes, pattern, length);
		n = (long)length;
	}
	free(copy);
	return n == (long)length;
}

bool twin_same(const void *bytes, const void *copy, size_t length) {
	twin_region(bytes, length);
	uint8_t *now = malloc(length + 1);
	struct iovec to = {now, length}, from = {(void *)bytes, length};
	long n = syscall(SYS_process_vm_readv, (long)getpid(), &to, 1L, &from, 1L, 0L);
	if (n < 0 && errno != EFAULT) {
		memcpy(now, bytes, length);
		n = (long)length;
	}
	bool same = n == (long)length && memcmp(now, copy, length) == 0;
	free(now);
	return same;
}

long twin_touch(const void *bytes, size_t length) {
	long sum = 0;
	for (size_t i = 0; i < length; i++) sum += ((const volatile uint8_t *)bytes)[i];
	return sum;
}
