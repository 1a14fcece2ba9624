/*
 * libdispatch. A serial queue has a thread of its own, which ends when the queue was released and is empty; each item of
 * the global queue has one. So a handler runs on a thread that its owner has never seen, as with Apple's.
 *
 * Each item that waits, until its turn, holds a reference to its queue, as Apple's do: a queue may be released with work pending.
 */
#define _GNU_SOURCE
#include "dispatch.h"

#include <Block.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct item {
	dispatch_queue_t queue;
	dispatch_function_t work;
	void *context;
	struct item *next;
};

/* What the thread of a serial queue works from; it outlives the queue's object. */
struct worker {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct item *first, *last;
	pthread_t thread;
	bool ending;
};

struct dispatch_queue_s {
	struct twin_object object;
	struct worker *worker;
	bool concurrent;
	char *label;
};

static void end_queue(void *object);
static struct twin_class queue_class = {.name = "dispatch queue", .family = DISPATCH_FAMILY, .destroy = end_queue};

static struct worker main_worker = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
struct dispatch_queue_s _dispatch_main_q = {
	.object = {.magic = TWIN_LIVE, .class = &queue_class, .count = 1, .immortal = true},
	.worker = &main_worker, .label = "com.apple.main-thread",
};
static struct dispatch_queue_s global_queue = {
	.object = {.magic = TWIN_LIVE, .class = &queue_class, .count = 1, .immortal = true},
	.concurrent = true, .label = "com.apple.root.default-qos",
};

void twin_check_queue(dispatch_queue_t queue, const char *function) {
	twin_check(queue, DISPATCH_FAMILY, &queue_class, function);
}

static pthread_t start_thread(void *(*run)(void *), void *argument) {
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, run, argument) != 0) twin_broken("no thread for a dispatch queue");
	pthread_attr_destroy(&attributes);
	return thread;
}

static void *run_item(void *argument) {
	struct item *item = argument;
	/* Before the work, in which the process may end: a queue that nobody else holds any more is no leak then. */
	twin_release(item->queue);
	item->work(item->context);
	free(item);
	return NULL;
}

static struct item *take(struct worker *worker) {
	struct item *item = worker->first;
	if (item != NULL) worker->first = item->next;
	if (worker->first == NULL) worker->last = NULL;
	return item;
}

static void *serve(void *argument) {
	struct worker *worker = argument;
	for (;;) {
		pthread_mutex_lock(&worker->mutex);
		while (worker->first == NULL && !worker->ending) pthread_cond_wait(&worker->changed, &worker->mutex);
		struct item *item = take(worker);
		pthread_mutex_unlock(&worker->mutex);
		if (item == NULL) break;
		run_item(item);
	}
	pthread_mutex_destroy(&worker->mutex);
	pthread_cond_destroy(&worker->changed);
	free(worker);
	return NULL;
}

static void end_queue(void *object) {
	struct dispatch_queue_s *queue = object;
	struct worker *worker = queue->worker;
	free(queue->label);
	pthread_mutex_lock(&worker->mutex);
	worker->ending = true;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->mutex);
}

dispatch_queue_t dispatch_queue_create(const char *label, void *attributes) {
	if (attributes != NULL) twin_broken("dispatch_queue_create: only serial queues (attributes NULL) are known here");
	struct worker *worker = calloc(1, sizeof *worker);
	pthread_mutex_init(&worker->mutex, NULL);
	pthread_cond_init(&worker->changed, NULL);
	dispatch_queue_t queue = twin_new(&queue_class, sizeof *queue);
	queue->worker = worker;
	queue->label = strdup(label == NULL ? "" : label);
	/* The mutex hands the thread's name over: dispatch_sync_f compares it. */
	pthread_mutex_lock(&worker->mutex);
	worker->thread = start_thread(serve, worker);
	pthread_mutex_unlock(&worker->mutex);
	return queue;
}

dispatch_queue_t dispatch_get_global_queue(intptr_t identifier, uintptr_t flags) {
	(void)identifier;
	return flags == 0 ? &global_queue : NULL;
}

const char *dispatch_queue_get_label(dispatch_queue_t queue) {
	twin_check_queue(queue, "dispatch_queue_get_label");
	return queue->label;
}

void dispatch_retain(dispatch_object_t object) {
	twin_check(object, DISPATCH_FAMILY, NULL, "dispatch_retain");
	twin_retain(object);
}

void dispatch_release(dispatch_object_t object) {
	twin_check(object, DISPATCH_FAMILY, NULL, "dispatch_release");
	twin_release(object);
}

void dispatch_async_f(dispatch_queue_t queue, void *context, dispatch_function_t work) {
	twin_check_queue(queue, "dispatch_async_f");
	if (work == NULL) twin_broken("dispatch_async_f was given no function");
	struct item *item = calloc(1, sizeof *item);
	*item = (struct item){.queue = queue, .work = work, .context = context};
	twin_retain(queue);
	if (queue->concurrent) {
		start_thread(run_item, item);
		return;
	}
	struct worker *worker = queue->worker;
	pthread_mutex_lock(&worker->mutex);
	if (worker->last == NULL) worker->first = item;
	else worker->last->next = item;
	worker->last = item;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->mutex);
}

struct rendezvous {
	void *context;
	dispatch_function_t work;
	dispatch_semaphore_t done;
};

static void run_and_signal(void *argument) {
	struct rendezvous *rendezvous = argument;
	rendezvous->work(rendezvous->context);
	dispatch_semaphore_signal(rendezvous->done);
}

void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t work) {
	twin_check_queue(queue, "dispatch_sync_f");
	if (queue == &_dispatch_main_q) twin_broken("dispatch_sync_f on the main queue, which nobody drains meanwhile");
	if (queue->worker != NULL) {
		pthread_mutex_lock(&queue->worker->mutex);
		bool own = pthread_equal(queue->worker->thread, pthread_self());
		pthread_mutex_unlock(&queue->worker->mutex);
		if (own) twin_broken("dispatch_sync_f on the queue that this thread serves: a deadlock");
	}
	struct rendezvous rendezvous = {context, work, dispatch_semaphore_create(0)};
	dispatch_async_f(queue, &rendezvous, run_and_signal);
	dispatch_semaphore_wait(rendezvous.done, DISPATCH_TIME_FOREVER);
	dispatch_release(rendezvous.done);
}

static void run_block(void *argument) {
	void (^work)(void) = argument;
	twin_block_check(argument, "dispatch_async");
	work();
	twin_block_release(argument);
}

void dispatch_async(dispatch_queue_t queue, void (^work)(void)) {
	dispatch_async_f(queue, twin_block_copy((const void *)work, "dispatch_async"), run_block);
}

void dispatch_sync(dispatch_queue_t queue, void (^work)(void)) {
	dispatch_sync_f(queue, twin_block_copy((const void *)work, "dispatch_sync"), run_block);
}

int twin_drain_main_queue(void) {
	int ran = 0;
	for (;;) {
		pthread_mutex_lock(&main_worker.mutex);
		struct item *item = take(&main_worker);
		pthread_mutex_unlock(&main_worker.mutex);
		if (item == NULL) return ran;
		run_item(item);
		ran++;
	}
}

/* --- semaphores --- */

struct dispatch_semaphore_s {
	struct twin_object object;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	intptr_t value, first;
};

static void end_semaphore(void *object) {
	struct dispatch_semaphore_s *semaphore = object;
	/* Apple's ends the process here as well. */
	if (semaphore->value < semaphore->first) twin_broken("a dispatch semaphore was released while it is in use");
	pthread_mutex_destroy(&semaphore->mutex);
	pthread_cond_destroy(&semaphore->changed);
}

static struct twin_class semaphore_class = {
	.name = "dispatch semaphore", .family = DISPATCH_FAMILY, .destroy = end_semaphore};

dispatch_semaphore_t dispatch_semaphore_create(intptr_t value) {
	if (value < 0) return NULL;
	dispatch_semaphore_t semaphore = twin_new(&semaphore_class, sizeof *semaphore);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&semaphore->mutex, NULL);
	pthread_cond_init(&semaphore->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	semaphore->value = semaphore->first = value;
	return semaphore;
}

/* A time is nanoseconds of the monotonic clock here; Apple's is opaque as well. */
dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta) {
	if (when == DISPATCH_TIME_FOREVER) return when;
	if (when == DISPATCH_TIME_NOW) {
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		when = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	}
	return when + (uint64_t)delta;
}

intptr_t dispatch_semaphore_wait(dispatch_semaphore_t semaphore, dispatch_time_t timeout) {
	twin_check(semaphore, DISPATCH_FAMILY, &semaphore_class, "dispatch_semaphore_wait");
	/* Held meanwhile: whoever was woken may release it while the signal still returns. */
	twin_retain(semaphore);
	struct timespec until = {(time_t)(timeout / 1000000000u), (long)(timeout % 1000000000u)};
	int error = 0;
	pthread_mutex_lock(&semaphore->mutex);
	while (semaphore->value <= 0 && error == 0) {
		if (timeout == DISPATCH_TIME_FOREVER) pthread_cond_wait(&semaphore->changed, &semaphore->mutex);
		else error = pthread_cond_timedwait(&semaphore->changed, &semaphore->mutex, &until);
	}
	bool taken = semaphore->value > 0;
	if (taken) semaphore->value--;
	pthread_mutex_unlock(&semaphore->mutex);
	twin_release(semaphore);
	return taken ? 0 : 49; /* KERN_OPERATION_TIMED_OUT */
}

intptr_t dispatch_semaphore_signal(dispatch_semaphore_t semaphore) {
	twin_check(semaphore, DISPATCH_FAMILY, &semaphore_class, "dispatch_semaphore_signal");
	twin_retain(semaphore);
	pthread_mutex_lock(&semaphore->mutex);
	bool woken = semaphore->value < 0;
	semaphore->value++;
	pthread_cond_signal(&semaphore->changed);
	pthread_mutex_unlock(&semaphore->mutex);
	twin_release(semaphore);
	return woken;
}
