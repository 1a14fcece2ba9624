/*
 * CoreFoundation: strings, numbers, booleans, dictionaries, arrays, with their reference counts. A dictionary wants the
 * two callback structures of CFType: with others, or none, it would not hold what is put into it. Numbers and strings of
 * up to seven characters have tagged handles (cf.h), which each function takes apart first.
 */
#define _GNU_SOURCE
#include "cf.h"

#include <stdlib.h>
#include <string.h>

#include "dispatch.h"

struct cf_string {
	struct twin_object object;
	char *text;
};
struct cf_number {
	struct twin_object object;
	CFNumberType type;
	int64_t value;
};
struct cf_boolean {
	struct twin_object object;
	Boolean value;
};
struct pair {
	CFTypeRef key, value;
};
struct cf_dictionary {
	struct twin_object object;
	bool mutable;
	struct pair *pairs;
	CFIndex count;
};
struct cf_array {
	struct twin_object object;
	CFTypeRef *values;
	CFIndex count;
};

static void end_string(void *object) {
	struct cf_string *string = object;
	memset(string->text, 0xa5, strlen(string->text));
	free(string->text);
}

static void end_dictionary(void *object) {
	struct cf_dictionary *dictionary = object;
	for (CFIndex i = 0; i < dictionary->count; i++) {
		CFRelease(dictionary->pairs[i].key);
		CFRelease(dictionary->pairs[i].value);
	}
	free(dictionary->pairs);
}

static void end_array(void *object) {
	struct cf_array *array = object;
	for (CFIndex i = 0; i < array->count; i++) CFRelease(array->values[i]);
	free(array->values);
}

static struct twin_class string_class = CF_CLASS("CFString", end_string), number_class = CF_CLASS("CFNumber", NULL),
	boolean_class = CF_CLASS("CFBoolean", NULL), dictionary_class = CF_CLASS("CFDictionary", end_dictionary),
	array_class = CF_CLASS("CFArray", end_array);

static struct cf_boolean truth = {{TWIN_LIVE, &boolean_class, 1, true}, 1};
static struct cf_boolean falsehood = {{TWIN_LIVE, &boolean_class, 1, true}, 0};
static struct cf_string default_mode = {{TWIN_LIVE, &string_class, 1, true}, "kCFRunLoopDefaultMode"};
const CFAllocatorRef kCFAllocatorDefault = NULL;
const CFBooleanRef kCFBooleanTrue = &truth, kCFBooleanFalse = &falsehood;
const CFStringRef kCFRunLoopDefaultMode = &default_mode;

#define CHECK(object, class) (object = cf_object(object), twin_check(object, CF_FAMILY, class, __func__))

#define LONGEST_TAGGED 7

CFTypeRef CFRetain(CFTypeRef object) {
	CFTypeRef handle = object;
	CHECK(object, NULL);
	twin_retain((void *)object);
	return handle;
}

void CFRelease(CFTypeRef object) {
	CHECK(object, NULL);
	twin_release((void *)object);
}

CFIndex CFGetRetainCount(CFTypeRef object) {
	CHECK(object, NULL);
	return ((const struct twin_object *)object)->count;
}

/* A number for each class: its address is one. */
CFTypeID CFGetTypeID(CFTypeRef object) {
	CHECK(object, NULL);
	return (CFTypeID)((const struct twin_object *)object)->class;
}
CFTypeID CFStringGetTypeID(void) { return (CFTypeID)&string_class; }
CFTypeID CFNumberGetTypeID(void) { return (CFTypeID)&number_class; }
CFTypeID CFBooleanGetTypeID(void) { return (CFTypeID)&boolean_class; }
CFTypeID CFDictionaryGetTypeID(void) { return (CFTypeID)&dictionary_class; }
CFTypeID CFArrayGetTypeID(void) { return (CFTypeID)&array_class; }

static const void *retain_callback(CFAllocatorRef allocator, const void *object) {
	(void)allocator;
	return CFRetain(object);
}
static void release_callback(CFAllocatorRef allocator, const void *object) {
	(void)allocator;
	CFRelease(object);
}
static CFHashCode hash_callback(const void *object) { return (CFHashCode)object; }

const CFDictionaryKeyCallBacks kCFTypeDictionaryKeyCallBacks = {
	0, retain_callback, release_callback, NULL, CFEqual, hash_callback};
const CFDictionaryValueCallBacks kCFTypeDictionaryValueCallBacks = {0, retain_callback, release_callback, NULL, CFEqual};

Boolean CFEqual(CFTypeRef one, CFTypeRef other) {
	CHECK(one, NULL);
	CHECK(other, NULL);
	if (one == other) return 1;
	if (CFGetTypeID(one) != CFGetTypeID(other)) return 0;
	if (CFGetTypeID(one) == CFStringGetTypeID())
		return strcmp(((CFStringRef)one)->text, ((CFStringRef)other)->text) == 0;
	if (CFGetTypeID(one) == CFNumberGetTypeID()) return ((CFNumberRef)one)->value == ((CFNumberRef)other)->value;
	return 0;
}

/* --- strings, numbers, booleans --- */

CFStringRef CFStringCreateWithCString(CFAllocatorRef allocator, const char *text, CFStringEncoding encoding) {
	if (allocator != NULL) twin_broken("CFStringCreateWithCString with an allocator");
	if (text == NULL) twin_broken("CFStringCreateWithCString was given NULL");
	if (encoding != kCFStringEncodingUTF8 && encoding != kCFStringEncodingASCII) return NULL;
	struct cf_string *string = twin_new(&string_class, sizeof *string);
	string->text = strdup(text);
	return strlen(text) <= LONGEST_TAGGED ? cf_tagged(string) : string;
}

const char *CFStringGetCStringPtr(CFStringRef string, CFStringEncoding encoding) {
	CHECK(string, &string_class);
	/* Apple's answers NULL whenever it likes: whoever relies on it has to ask CFStringGetCString then. */
	(void)encoding;
	return NULL;
}

CFIndex CFStringGetLength(CFStringRef string) {
	CHECK(string, &string_class);
	return (CFIndex)strlen(string->text);
}

Boolean CFStringGetCString(CFStringRef string, char *buffer, CFIndex size, CFStringEncoding encoding) {
	CHECK(string, &string_class);
	size_t length = strlen(string->text) + 1;
	if (encoding != kCFStringEncodingUTF8 || size < (CFIndex)length) return 0;
	memcpy(buffer, string->text, length);
	return 1;
}

static int number_size(CFNumberType type) {
	switch (type) {
	case kCFNumberSInt8Type: case kCFNumberCharType: return 1;
	case kCFNumberSInt16Type: case kCFNumberShortType: return 2;
	case kCFNumberSInt32Type: case kCFNumberIntType: return 4;
	case kCFNumberSInt64Type: case kCFNumberLongType: case kCFNumberLongLongType: case kCFNumberCFIndexType: return 8;
	default: twin_broken("CFNumber of type %ld, which the stand-in does not have", type);
	}
}

CFNumberRef CFNumberCreate(CFAllocatorRef allocator, CFNumberType type, const void *value) {
	if (allocator != NULL || value == NULL) twin_broken("CFNumberCreate with an allocator or without a value");
	int size = number_size(type);
	twin_region(value, (size_t)size);
	struct cf_number *number = twin_new(&number_class, sizeof *number);
	number->type = size == 1 ? 1 : size == 2 ? 2 : size == 4 ? 3 : 4;
	number->value = size == 1 ? *(const int8_t *)value : size == 2 ? *(const int16_t *)value
		: size == 4 ? *(const int32_t *)value : *(const int64_t *)value;
	return number->value >> 55 == 0 || number->value >> 55 == -1 ? cf_tagged(number) : number;
}

Boolean CFNumberGetValue(CFNumberRef number, CFNumberType type, void *value) {
	CHECK(number, &number_class);
	int size = number_size(type);
	int64_t wide = number->value;
	memcpy(value, &wide, (size_t)size); /* the low bytes come first on both of our machines */
	int64_t limit = size == 8 ? INT64_MAX : ((int64_t)1 << (8 * size - 1)) - 1;
	return wide <= limit && wide >= -limit - 1;
}

CFNumberType CFNumberGetType(CFNumberRef number) {
	CHECK(number, &number_class);
	return number->type;
}

Boolean CFBooleanGetValue(CFBooleanRef boolean) {
	CHECK(boolean, &boolean_class);
	return boolean->value;
}

/* --- dictionaries --- */

static void check_callbacks(const void *keys, const void *values, const char *function) {
	if (keys != &kCFTypeDictionaryKeyCallBacks || values != &kCFTypeDictionaryValueCallBacks)
		twin_broken("%s without the addresses of the two callback structures of CFType: nothing would be retained", function);
}

static struct pair *find(struct cf_dictionary *dictionary, CFTypeRef key) {
	for (CFIndex i = 0; i < dictionary->count; i++)
		if (CFEqual(dictionary->pairs[i].key, key)) return &dictionary->pairs[i];
	return NULL;
}

static void set(struct cf_dictionary *dictionary, CFTypeRef key, CFTypeRef value, bool replace) {
	struct pair *pair = find(dictionary, key);
	if (pair != NULL) {
		if (!replace) return;
		CFRetain(value);
		CFRelease(pair->value);
		pair->value = value;
		return;
	}
	dictionary->pairs = realloc(dictionary->pairs, (size_t)(dictionary->count + 1) * sizeof *dictionary->pairs);
	dictionary->pairs[dictionary->count++] = (struct pair){CFRetain(key), CFRetain(value)};
}

CFDictionaryRef CFDictionaryCreate(CFAllocatorRef allocator, const void **keys, const void **values, CFIndex count,
	const CFDictionaryKeyCallBacks *key_callbacks, const CFDictionaryValueCallBacks *value_callbacks) {
	if (allocator != NULL || count < 0) twin_broken("CFDictionaryCreate with an allocator or a negative count");
	check_callbacks(key_callbacks, value_callbacks, "CFDictionaryCreate");
	twin_region(keys, (size_t)count * sizeof *keys);
	twin_region(values, (size_t)count * sizeof *values);
	struct cf_dictionary *dictionary = twin_new(&dictionary_class, sizeof *dictionary);
	for (CFIndex i = 0; i < count; i++) set(dictionary, keys[i], values[i], false);
	return dictionary;
}

CFMutableDictionaryRef CFDictionaryCreateMutable(CFAllocatorRef allocator, CFIndex capacity,
	const CFDictionaryKeyCallBacks *key_callbacks, const CFDictionaryValueCallBacks *value_callbacks) {
	(void)capacity;
	CFMutableDictionaryRef made = CFDictionaryCreate(allocator, NULL, NULL, 0, key_callbacks, value_callbacks);
	made->mutable = true;
	return made;
}

CFDictionaryRef CFDictionaryCreateCopy(CFAllocatorRef allocator, CFDictionaryRef dictionary) {
	CHECK(dictionary, &dictionary_class);
	CFDictionaryRef copy = CFDictionaryCreate(
		allocator, NULL, NULL, 0, &kCFTypeDictionaryKeyCallBacks, &kCFTypeDictionaryValueCallBacks);
	for (CFIndex i = 0; i < dictionary->count; i++)
		set(copy, dictionary->pairs[i].key, dictionary->pairs[i].value, false);
	return copy;
}

CFMutableDictionaryRef CFDictionaryCreateMutableCopy(
	CFAllocatorRef allocator, CFIndex capacity, CFDictionaryRef dictionary) {
	if (capacity != 0) twin_broken("CFDictionaryCreateMutableCopy with a capacity of %ld", capacity);
	CFMutableDictionaryRef copy = CFDictionaryCreateCopy(allocator, dictionary);
	copy->mutable = true;
	return copy;
}

static void check_mutable(CFDictionaryRef dictionary, const char *function) {
	twin_check(dictionary, CF_FAMILY, &dictionary_class, function);
	if (!dictionary->mutable) twin_broken("%s on a dictionary that is not mutable", function);
}

void CFDictionarySetValue(CFMutableDictionaryRef dictionary, const void *key, const void *value) {
	check_mutable(dictionary, __func__);
	set(dictionary, key, value, true);
}

void CFDictionaryAddValue(CFMutableDictionaryRef dictionary, const void *key, const void *value) {
	check_mutable(dictionary, __func__);
	set(dictionary, key, value, false);
}

void CFDictionaryRemoveValue(CFMutableDictionaryRef dictionary, const void *key) {
	check_mutable(dictionary, __func__);
	struct pair *pair = find(dictionary, key);
	if (pair == NULL) return;
	struct pair old = *pair;
	*pair = dictionary->pairs[--dictionary->count];
	CFRelease(old.key);
	CFRelease(old.value);
}

const void *CFDictionaryGetValue(CFDictionaryRef dictionary, const void *key) {
	CHECK(dictionary, &dictionary_class);
	struct pair *pair = find(dictionary, key);
	return pair == NULL ? NULL : pair->value;
}

Boolean CFDictionaryGetValueIfPresent(CFDictionaryRef dictionary, const void *key, const void **value) {
	const void *found = CFDictionaryGetValue(dictionary, key);
	if (found != NULL && value != NULL) *value = found;
	return found != NULL;
}

Boolean CFDictionaryContainsKey(CFDictionaryRef dictionary, const void *key) {
	return CFDictionaryGetValue(dictionary, key) != NULL;
}

CFIndex CFDictionaryGetCount(CFDictionaryRef dictionary) {
	CHECK(dictionary, &dictionary_class);
	return dictionary->count;
}

void CFDictionaryGetKeysAndValues(CFDictionaryRef dictionary, const void **keys, const void **values) {
	CHECK(dictionary, &dictionary_class);
	for (CFIndex i = 0; i < dictionary->count; i++) {
		if (keys != NULL) keys[i] = dictionary->pairs[i].key;
		if (values != NULL) values[i] = dictionary->pairs[i].value;
	}
}

/* --- arrays, the run loop --- */

CFMutableArrayRef twin_array_create(void) { return twin_new(&array_class, sizeof(struct cf_array)); }

void twin_array_append(CFMutableArrayRef array, CFTypeRef value) {
	array->values = realloc(array->values, (size_t)(array->count + 1) * sizeof *array->values);
	array->values[array->count++] = CFRetain(value);
}

CFIndex CFArrayGetCount(CFArrayRef array) {
	CHECK(array, &array_class);
	return array->count;
}

const void *CFArrayGetValueAtIndex(CFArrayRef array, CFIndex index) {
	CHECK(array, &array_class);
	if (index < 0 || index >= array->count) twin_broken("CFArrayGetValueAtIndex: index %ld of %ld", index, array->count);
	return array->values[index];
}

int32_t CFRunLoopRunInMode(CFStringRef mode, double seconds, Boolean return_after_one) {
	CHECK(mode, &string_class);
	if (twin_drain_main_queue() > 0 && return_after_one) return 4; /* kCFRunLoopRunHandledSource */
	twin_sleep((long)(seconds * 1000));
	return twin_drain_main_queue() > 0 && return_after_one ? 4 : 3; /* kCFRunLoopRunTimedOut */
}
