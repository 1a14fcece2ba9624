/*
 * openlog and syslog. openlog keeps the pointer to the name, as Apple's does: its memory must stay. Only "%s" is a format
 * that a caller may use, since what is logged may come from a guest.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *name;
static char *copy, *text, *lent;
static int facility = 1 << 3; /* LOG_USER */

APPLE void openlog(const char *identity, int option, int given_facility) {
	(void)option;
	pthread_mutex_lock(&lock);
	name = identity;
	free(copy);
	copy = identity == NULL ? NULL : strdup(identity);
	facility = given_facility & 0x3f8;
	pthread_mutex_unlock(&lock);
}

APPLE void closelog(void) {
	pthread_mutex_lock(&lock);
	name = NULL;
	pthread_mutex_unlock(&lock);
}

APPLE void syslog(int priority, const char *format, ...) {
	if (strcmp(format, "%s") != 0) twin_broken("syslog with the format \"%s\": only \"%%s\" is safe", format);
	va_list arguments;
	va_start(arguments, format);
	const char *message = va_arg(arguments, const char *);
	va_end(arguments);
	pthread_mutex_lock(&lock);
	if (name != NULL && !twin_same(name, copy, strlen(copy) + 1))
		twin_broken("the name given to openlog has changed or was freed: openlog keeps the pointer");
	char *longer = NULL;
	int written = asprintf(&longer, "%s%s[%d.%d] %s\n", text == NULL ? "" : text, name == NULL ? "" : name,
		((priority & 0x3f8) == 0 ? facility : priority & 0x3f8) >> 3, priority & 7, message);
	if (written < 0) twin_broken("no memory");
	free(text);
	text = longer;
	twin_add(SYSLOGS, 1);
	pthread_mutex_unlock(&lock);
}

const char *twin_syslog_text(void) {
	pthread_mutex_lock(&lock);
	free(lent);
	lent = strdup(text == NULL ? "" : text);
	pthread_mutex_unlock(&lock);
	return lent;
}
