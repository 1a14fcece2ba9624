/* CoreFoundation, as far as it is exported by the stand-in. Create and Copy give a reference, Get lends. */
#ifndef TWIN_CF_H
#define TWIN_CF_H

#include "rules.h"

typedef const void *CFTypeRef, *CFAllocatorRef;
typedef const struct cf_string *CFStringRef;
typedef const struct cf_number *CFNumberRef;
typedef const struct cf_boolean *CFBooleanRef;
typedef struct cf_dictionary *CFDictionaryRef, *CFMutableDictionaryRef;
typedef struct cf_array *CFArrayRef, *CFMutableArrayRef;
typedef long CFIndex;
typedef unsigned long CFTypeID, CFHashCode;
typedef unsigned char Boolean;
typedef uint32_t CFStringEncoding;
typedef CFIndex CFNumberType;

enum { kCFStringEncodingASCII = 0x0600, kCFStringEncodingUTF8 = 0x08000100 };
enum {
	kCFNumberSInt8Type = 1, kCFNumberSInt16Type = 2, kCFNumberSInt32Type = 3, kCFNumberSInt64Type = 4,
	kCFNumberCharType = 7, kCFNumberShortType = 8, kCFNumberIntType = 9, kCFNumberLongType = 10,
	kCFNumberLongLongType = 11, kCFNumberCFIndexType = 14,
};

typedef struct {
	CFIndex version;
	const void *(*retain)(CFAllocatorRef, const void *);
	void (*release)(CFAllocatorRef, const void *);
	CFStringRef (*copyDescription)(const void *);
	Boolean (*equal)(const void *, const void *);
	CFHashCode (*hash)(const void *);
} CFDictionaryKeyCallBacks;
typedef struct {
	CFIndex version;
	const void *(*retain)(CFAllocatorRef, const void *);
	void (*release)(CFAllocatorRef, const void *);
	CFStringRef (*copyDescription)(const void *);
	Boolean (*equal)(const void *, const void *);
} CFDictionaryValueCallBacks;

/* Structures: their own addresses are passed. */
APPLE extern const CFDictionaryKeyCallBacks kCFTypeDictionaryKeyCallBacks;
APPLE extern const CFDictionaryValueCallBacks kCFTypeDictionaryValueCallBacks;
/* Pointers: what is passed lies at these addresses. */
APPLE extern const CFAllocatorRef kCFAllocatorDefault;
APPLE extern const CFBooleanRef kCFBooleanTrue, kCFBooleanFalse;
APPLE extern const CFStringRef kCFRunLoopDefaultMode;

APPLE CFTypeRef CFRetain(CFTypeRef object);
APPLE void CFRelease(CFTypeRef object);
APPLE CFIndex CFGetRetainCount(CFTypeRef object);
APPLE CFTypeID CFGetTypeID(CFTypeRef object);
APPLE Boolean CFEqual(CFTypeRef one, CFTypeRef other);
APPLE CFTypeID CFStringGetTypeID(void);
APPLE CFTypeID CFNumberGetTypeID(void);
APPLE CFTypeID CFBooleanGetTypeID(void);
APPLE CFTypeID CFDictionaryGetTypeID(void);
APPLE CFTypeID CFArrayGetTypeID(void);

APPLE CFStringRef CFStringCreateWithCString(CFAllocatorRef allocator, const char *text, CFStringEncoding encoding);
APPLE Boolean CFStringGetCString(CFStringRef string, char *buffer, CFIndex size, CFStringEncoding encoding);
APPLE const char *CFStringGetCStringPtr(CFStringRef string, CFStringEncoding encoding);
APPLE CFIndex CFStringGetLength(CFStringRef string);
APPLE CFNumberRef CFNumberCreate(CFAllocatorRef allocator, CFNumberType type, const void *value);
APPLE Boolean CFNumberGetValue(CFNumberRef number, CFNumberType type, void *value);
APPLE CFNumberType CFNumberGetType(CFNumberRef number);
APPLE Boolean CFBooleanGetValue(CFBooleanRef boolean);

APPLE CFDictionaryRef CFDictionaryCreate(CFAllocatorRef allocator, const void **keys, const void **values, CFIndex count,
	const CFDictionaryKeyCallBacks *key_callbacks, const CFDictionaryValueCallBacks *value_callbacks);
APPLE CFDictionaryRef CFDictionaryCreateCopy(CFAllocatorRef allocator, CFDictionaryRef dictionary);
APPLE CFMutableDictionaryRef CFDictionaryCreateMutable(CFAllocatorRef allocator, CFIndex capacity,
	const CFDictionaryKeyCallBacks *key_callbacks, const CFDictionaryValueCallBacks *value_callbacks);
APPLE CFMutableDictionaryRef CFDictionaryCreateMutableCopy(CFAllocatorRef allocator, CFIndex capacity, CFDictionaryRef dictionary);
APPLE void CFDictionarySetValue(CFMutableDictionaryRef dictionary, const void *key, const void *value);
APPLE void CFDictionaryAddValue(CFMutableDictionaryRef dictionary, const void *key, const void *value);
APPLE void CFDictionaryRemoveValue(CFMutableDictionaryRef dictionary, const void *key);
APPLE const void *CFDictionaryGetValue(CFDictionaryRef dictionary, const void *key);
APPLE Boolean CFDictionaryGetValueIfPresent(CFDictionaryRef dictionary, const void *key, const void **value);
APPLE Boolean CFDictionaryContainsKey(CFDictionaryRef dictionary, const void *key);
APPLE CFIndex CFDictionaryGetCount(CFDictionaryRef dictionary);
APPLE void CFDictionaryGetKeysAndValues(CFDictionaryRef dictionary, const void **keys, const void **values);

/* What property lists need beyond that: an array without Apple's callbacks. */
APPLE CFMutableArrayRef twin_array_create(void);
APPLE void twin_array_append(CFMutableArrayRef array, CFTypeRef value);
APPLE CFIndex CFArrayGetCount(CFArrayRef array);
APPLE const void *CFArrayGetValueAtIndex(CFArrayRef array, CFIndex index);

APPLE int32_t CFRunLoopRunInMode(CFStringRef mode, double seconds, Boolean return_after_one);

/*
 * On Apple silicon a number and a short string are no objects in memory: the handle itself holds the value, with its
 * highest bit set and bits that differ from process to process. Whoever takes a handle for an address, or for a number
 * below 2^53, is wrong there. The stand-in's have an address in them, hidden in the same way, so that leaks are counted.
 */
#define CF_TAG 0xb4f2000000000000ull
static inline const void *cf_tagged(const void *object) { return (const void *)((uintptr_t)object ^ CF_TAG); }
static inline void *cf_object(const void *handle) {
	return (void *)((intptr_t)handle < 0 ? (uintptr_t)handle ^ CF_TAG : (uintptr_t)handle);
}

/* A class of other libraries' objects that CFRelease takes as well. */
#define CF_CLASS(title, end) {.name = title, .family = CF_FAMILY, .destroy = end}

#endif
