/* libdispatch, as far as it is exported by the stand-in (macos.md's section 3 has the prototypes from Apple's headers). */
#ifndef TWIN_DISPATCH_H
#define TWIN_DISPATCH_H

#include <stdint.h>

#include "rules.h"

typedef struct dispatch_queue_s *dispatch_queue_t;
typedef struct dispatch_semaphore_s *dispatch_semaphore_t;
typedef void *dispatch_object_t;
typedef void (*dispatch_function_t)(void *);
typedef uint64_t dispatch_time_t;
#define DISPATCH_TIME_NOW 0ull
#define DISPATCH_TIME_FOREVER (~0ull)

/* Not a pointer: &_dispatch_main_q is the main queue. */
APPLE extern struct dispatch_queue_s _dispatch_main_q;

APPLE dispatch_queue_t dispatch_queue_create(const char *label, void *attributes);
APPLE dispatch_queue_t dispatch_get_global_queue(intptr_t identifier, uintptr_t flags);
APPLE void dispatch_retain(dispatch_object_t object);
APPLE void dispatch_release(dispatch_object_t object);
APPLE void dispatch_async_f(dispatch_queue_t queue, void *context, dispatch_function_t work);
APPLE void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t work);
APPLE void dispatch_async(dispatch_queue_t queue, void (^work)(void));
APPLE void dispatch_sync(dispatch_queue_t queue, void (^work)(void));
APPLE const char *dispatch_queue_get_label(dispatch_queue_t queue);
APPLE dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta);
APPLE dispatch_semaphore_t dispatch_semaphore_create(intptr_t value);
APPLE intptr_t dispatch_semaphore_wait(dispatch_semaphore_t semaphore, dispatch_time_t timeout);
APPLE intptr_t dispatch_semaphore_signal(dispatch_semaphore_t semaphore);

/* Breaks a rule unless it is a living queue. */
APPLE void twin_check_queue(dispatch_queue_t queue, const char *function);
/* Runs what waits on the main queue, on this thread: CFRunLoopRunInMode's work. Answers how many. */
APPLE int twin_drain_main_queue(void);

#endif
