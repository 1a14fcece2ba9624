/*
 * SystemConfiguration's preferences: a property list in a file, a lock file beside it, and a signature by which a commit
 * notices that somebody else wrote meanwhile (macos.md section 7.1). What Apple's forgives and softnet must not do ends the
 * process: setting or committing without the lock, an unlock without a lock, the end of a session that holds the lock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cf.h"
#include "linux.h"
#include "plist.h"

enum {
	kSCStatusOK = 0, kSCStatusFailed = 1001, kSCStatusInvalidArgument = 1002, kSCStatusAccessError = 1003,
	kSCStatusNoKey = 1004, kSCStatusLocked = 1006, kSCStatusNeedLock = 1007, kSCStatusPrefsBusy = 3002, kSCStatusStale = 3005,
};

struct signature {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

typedef struct preferences {
	struct twin_object object;
	char *path;
	int lock; /* descriptor of the lock file, -1 without */
	bool read;
	struct signature signature;
	CFMutableDictionaryRef values;
} *SCPreferencesRef;

static _Thread_local int last_error;

static Boolean fail(int error) {
	last_error = error;
	return 0;
}

static Boolean succeed(void) {
	last_error = kSCStatusOK;
	return 1;
}

APPLE int SCError(void) { return last_error; }

APPLE const char *SCErrorString(int status) {
	switch (status) {
	case kSCStatusOK: return "Success!";
	case kSCStatusFailed: return "Failed!";
	case kSCStatusAccessError: return "Permission denied";
	case kSCStatusNoKey: return "No such key";
	case kSCStatusLocked: return "Lock already held";
	case kSCStatusNeedLock: return "Lock required for this operation";
	case kSCStatusPrefsBusy: return "Preferences update currently in progress";
	case kSCStatusStale: return "Write attempted on stale version of object";
	default: return "Unknown error";
	}
}

static void end_preferences(void *object) {
	SCPreferencesRef preferences = object;
	if (preferences->lock >= 0) twin_broken("preferences were released with their lock held");
	if (preferences->values != NULL) CFRelease(preferences->values);
	free(preferences->path);
}

static struct twin_class preferences_class = CF_CLASS("SCPreferences", end_preferences);

#define CHECK(preferences) twin_check(preferences, CF_FAMILY, &preferences_class, __func__)

static bool is_root(void) { return geteuid() == 0 && twin_value(NOT_ROOT) == 0; }

static char *name_of(SCPreferencesRef preferences, const char *suffix) {
	char *name = NULL;
	if (asprintf(&name, "%s%s", preferences->path, suffix) < 0) twin_broken("no memory");
	return name;
}

static struct signature signature_of(const char *path) {
	struct stat found;
	struct signature signature;
	memset(&signature, 0, sizeof signature);
	if (stat(path, &found) < 0) return signature;
	signature.device = found.st_dev;
	signature.inode = found.st_ino;
	signature.size = found.st_size;
	signature.changed = found.st_mtim;
	return signature;
}

static bool same(const struct signature *one, const struct signature *other) {
	return one->device == other->device && one->inode == other->inode && one->size == other->size &&
		one->changed.tv_sec == other->changed.tv_sec && one->changed.tv_nsec == other->changed.tv_nsec;
}

/* The first access of a session reads the file; what comes later works on that. */
static void access_file(SCPreferencesRef preferences) {
	if (preferences->read) return;
	preferences->read = true;
	preferences->signature = signature_of(preferences->path);
	CFTypeRef read = NULL;
	int fd = linux_open(preferences->path, 02000000 /* O_CLOEXEC */, 0);
	if (fd >= 0) {
		char *text = calloc(1, (size_t)preferences->signature.size + 1);
		if (linux_read(fd, text, preferences->signature.size) == preferences->signature.size) read = read_plist(text);
		free(text);
		linux_close(fd);
		if (preferences->signature.size > 0 && (read == NULL || CFGetTypeID(read) != CFDictionaryGetTypeID()))
			twin_broken("%s is no property list that the stand-in can read", preferences->path);
	}
	preferences->values = read != NULL ? (CFMutableDictionaryRef)read
		: CFDictionaryCreateMutable(NULL, 0, &kCFTypeDictionaryKeyCallBacks, &kCFTypeDictionaryValueCallBacks);
}

APPLE SCPreferencesRef SCPreferencesCreate(CFAllocatorRef allocator, CFStringRef name, CFStringRef file) {
	if (allocator != NULL || name == NULL || file == NULL)
		twin_broken("SCPreferencesCreate wants no allocator, a name, a file");
	char text[512], owner[128];
	if (!CFStringGetCString(name, owner, sizeof owner, kCFStringEncodingUTF8) ||
		!CFStringGetCString(file, text, sizeof text, kCFStringEncodingUTF8))
		twin_broken("SCPreferencesCreate: names too long");
	SCPreferencesRef preferences = twin_new(&preferences_class, sizeof *preferences);
	if (asprintf(&preferences->path, "%s%s%s", text[0] == '/' ? "" : twin_folder(), text[0] == '/' ? "" : "/", text) < 0)
		twin_broken("no memory");
	preferences->lock = -1;
	succeed();
	return preferences;
}

APPLE CFTypeID SCPreferencesGetTypeID(void) { return (CFTypeID)&preferences_class; }

/* Forgets what was read: the next access reads the file again. */
APPLE void SCPreferencesSynchronize(SCPreferencesRef preferences) {
	CHECK(preferences);
	if (preferences->values != NULL) CFRelease(preferences->values);
	preferences->values = NULL;
	preferences->read = false;
	succeed();
}

static void unlock(SCPreferencesRef preferences) {
	linux_close(preferences->lock);
	preferences->lock = -1;
}

/* What another program's commit does to the file: the same text in a new file. */
static void write_from_elsewhere(SCPreferencesRef preferences) {
	char *fresh = name_of(preferences, "-elsewhere");
	FILE *to = fopen(fresh, "w");
	if (to == NULL) twin_broken("cannot write %s", fresh);
	SCPreferencesRef other = twin_new(&preferences_class, sizeof *other);
	other->path = strdup(preferences->path);
	other->lock = -1;
	access_file(other);
	write_plist(to, other->values);
	fclose(to);
	if (rename(fresh, preferences->path) < 0) twin_broken("cannot rename %s", fresh);
	CFRelease(other);
	free(fresh);
}

APPLE Boolean SCPreferencesLock(SCPreferencesRef preferences, Boolean wait) {
	CHECK(preferences);
	twin_add(LOCKS, 1);
	twin_sleep(twin_value(LOCK_DELAY));
	if (!is_root()) return fail(kSCStatusAccessError);
	if (preferences->lock >= 0) return fail(kSCStatusLocked);
	if (twin_times(LOCK_BUSY)) return fail(kSCStatusPrefsBusy);
	char *name = name_of(preferences, "-lock");
	preferences->lock = linux_open(name, 02000102 /* O_RDWR | O_CREAT | O_CLOEXEC */, 0644);
	free(name);
	if (preferences->lock < 0) return fail(kSCStatusFailed);
	int result;
	do result = linux_flock(preferences->lock, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
	while (result < 0 && errno == EINTR);
	if (result < 0) {
		unlock(preferences);
		return fail(kSCStatusPrefsBusy);
	}
	/* Whoever looked before locking may have seen an old version. */
	struct signature now = signature_of(preferences->path);
	if (preferences->read && !same(&now, &preferences->signature)) {
		unlock(preferences);
		return fail(kSCStatusStale);
	}
	return succeed();
}

APPLE Boolean SCPreferencesUnlock(SCPreferencesRef preferences) {
	CHECK(preferences);
	if (preferences->lock < 0) twin_broken("SCPreferencesUnlock without a lock");
	unlock(preferences);
	return succeed();
}

APPLE CFTypeRef SCPreferencesGetValue(SCPreferencesRef preferences, CFStringRef key) {
	CHECK(preferences);
	access_file(preferences);
	CFTypeRef value = CFDictionaryGetValue(preferences->values, key);
	last_error = value == NULL ? kSCStatusNoKey : kSCStatusOK;
	return value;
}

APPLE Boolean SCPreferencesSetValue(SCPreferencesRef preferences, CFStringRef key, CFTypeRef value) {
	CHECK(preferences);
	if (preferences->lock < 0)
		twin_broken("SCPreferencesSetValue without the lock: another program's change could be lost");
	access_file(preferences);
	CFDictionarySetValue(preferences->values, key, value);
	return succeed();
}

APPLE Boolean SCPreferencesRemoveValue(SCPreferencesRef preferences, CFStringRef key) {
	CHECK(preferences);
	if (preferences->lock < 0) twin_broken("SCPreferencesRemoveValue without the lock");
	access_file(preferences);
	if (!CFDictionaryContainsKey(preferences->values, key)) return fail(kSCStatusNoKey);
	CFDictionaryRemoveValue(preferences->values, key);
	return succeed();
}

APPLE Boolean SCPreferencesCommitChanges(SCPreferencesRef preferences) {
	CHECK(preferences);
	if (preferences->lock < 0)
		twin_broken("SCPreferencesCommitChanges without the lock: another program's change could be lost");
	if (twin_value(COMMIT_STATUS) != 0) return fail((int)twin_value(COMMIT_STATUS));
	if (twin_times(STALE)) write_from_elsewhere(preferences);
	access_file(preferences);
	struct stat old;
	bool existed = stat(preferences->path, &old) == 0;
	struct signature now = signature_of(preferences->path);
	if (!same(&now, &preferences->signature)) return fail(kSCStatusStale);
	char *fresh = name_of(preferences, "-new");
	int fd = linux_open(fresh, 02001102 /* O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC */, 0644);
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w");
	bool done = to != NULL;
	if (done) {
		if (fchmod(fd, existed ? old.st_mode & 07777 : 0644) < 0) done = false;
		if (existed && fchown(fd, old.st_uid, old.st_gid) < 0) done = false;
		write_plist(to, preferences->values);
		if (fclose(to) != 0) done = false;
	}
	done = done && rename(fresh, preferences->path) == 0;
	free(fresh);
	if (!done) return fail(kSCStatusFailed);
	preferences->signature = signature_of(preferences->path);
	twin_add(COMMITS, 1);
	return succeed();
}

/* Tells configd, which has nothing to do with the files that softnet writes. */
APPLE Boolean SCPreferencesApplyChanges(SCPreferencesRef preferences) {
	CHECK(preferences);
	return is_root() ? succeed() : fail(kSCStatusAccessError);
}
