/*
 * XML property lists, written as Apple's writer does (tabs, keys in order) and read without any library. A value that CF's
 * stand-in cannot hold (data, date, real) makes the whole list unreadable, so that nothing is ever lost in silence.
 */
#define _GNU_SOURCE
#include "plist.h"

#include <stdlib.h>
#include <string.h>

static char *c_string(CFStringRef string) {
	CFIndex size = CFStringGetLength(string) + 1;
	char *text = malloc((size_t)size);
	if (!CFStringGetCString(string, text, size, kCFStringEncodingUTF8)) twin_broken("a string that is no UTF-8");
	return text;
}

/* --- writing --- */

static void write_text(FILE *to, CFStringRef string) {
	char *text = c_string(string);
	for (const char *at = text; *at != 0; at++) {
		if (*at == '&') fputs("&amp;", to);
		else if (*at == '<') fputs("&lt;", to);
		else if (*at == '>') fputs("&gt;", to);
		else fputc(*at, to);
	}
	free(text);
}

static int by_key(const void *one, const void *other) {
	char *first = c_string(*(const CFStringRef *)one), *second = c_string(*(const CFStringRef *)other);
	int order = strcmp(first, second);
	free(first);
	free(second);
	return order;
}

static void indent(FILE *to, int depth) {
	for (int i = 0; i < depth; i++) fputc('\t', to);
}

static void write_value(FILE *to, CFTypeRef object, int depth) {
	CFTypeID type = CFGetTypeID(object);
	indent(to, depth);
	if (type == CFStringGetTypeID()) {
		fputs("<string>", to);
		write_text(to, object);
		fputs("</string>\n", to);
	} else if (type == CFNumberGetTypeID()) {
		int64_t number;
		CFNumberGetValue(object, kCFNumberSInt64Type, &number);
		fprintf(to, "<integer>%ld</integer>\n", (long)number);
	} else if (type == CFBooleanGetTypeID()) fprintf(to, "<%s/>\n", CFBooleanGetValue(object) ? "true" : "false");
	else if (type == CFArrayGetTypeID()) {
		fputs("<array>\n", to);
		for (CFIndex i = 0; i < CFArrayGetCount((CFArrayRef)object); i++)
			write_value(to, CFArrayGetValueAtIndex((CFArrayRef)object, i), depth + 1);
		indent(to, depth);
		fputs("</array>\n", to);
	} else if (type == CFDictionaryGetTypeID()) {
		CFDictionaryRef dictionary = (CFDictionaryRef)object;
		CFIndex count = CFDictionaryGetCount(dictionary);
		const void **keys = calloc((size_t)count + 1, sizeof *keys);
		CFDictionaryGetKeysAndValues(dictionary, keys, NULL);
		qsort(keys, (size_t)count, sizeof *keys, by_key);
		fputs("<dict>\n", to);
		for (CFIndex i = 0; i < count; i++) {
			indent(to, depth + 1);
			fputs("<key>", to);
			write_text(to, keys[i]);
			fputs("</key>\n", to);
			write_value(to, CFDictionaryGetValue(dictionary, keys[i]), depth + 1);
		}
		free(keys);
		indent(to, depth);
		fputs("</dict>\n", to);
	} else twin_broken("a value of a property list is of no type that one can hold");
}

void write_plist(FILE *to, CFTypeRef object) {
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
		"\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n", to);
	write_value(to, object, 0);
	fputs("</plist>\n", to);
}

/* --- reading --- */

static bool skip(const char **at, const char *expected) {
	*at += strspn(*at, " \t\r\n");
	size_t length = strlen(expected);
	if (strncmp(*at, expected, length) != 0) return false;
	*at += length;
	return true;
}

/* The text up to this end tag, entities resolved. */
static CFStringRef read_text(const char **at, const char *end_tag) {
	const char *end = strstr(*at, end_tag);
	if (end == NULL) return NULL;
	static const struct { const char *entity; char character; } ENTITIES[] = {
		{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
	char *text = malloc((size_t)(end - *at) + 1), *to = text;
	while (*at < end) {
		bool resolved = false;
		for (size_t i = 0; i < sizeof ENTITIES / sizeof *ENTITIES && !resolved; i++) {
			size_t length = strlen(ENTITIES[i].entity);
			resolved = strncmp(*at, ENTITIES[i].entity, length) == 0;
			if (resolved) *to++ = ENTITIES[i].character, *at += length;
		}
		if (!resolved) *to++ = *(*at)++;
	}
	*to = 0;
	*at = end + strlen(end_tag);
	CFStringRef string = CFStringCreateWithCString(NULL, text, kCFStringEncodingUTF8);
	free(text);
	return string;
}

static CFTypeRef read_value(const char **at);

static CFTypeRef read_dictionary(const char **at) {
	CFMutableDictionaryRef dictionary = CFDictionaryCreateMutable(
		NULL, 0, &kCFTypeDictionaryKeyCallBacks, &kCFTypeDictionaryValueCallBacks);
	while (!skip(at, "</dict>")) {
		CFStringRef key = skip(at, "<key>") ? read_text(at, "</key>") : NULL;
		CFTypeRef value = key == NULL ? NULL : read_value(at);
		if (value != NULL) {
			CFDictionarySetValue(dictionary, key, value);
			CFRelease(value);
		}
		if (key != NULL) CFRelease(key);
		if (value == NULL) {
			CFRelease(dictionary);
			return NULL;
		}
	}
	return dictionary;
}

static CFTypeRef read_array(const char **at) {
	CFMutableArrayRef array = twin_array_create();
	while (!skip(at, "</array>")) {
		CFTypeRef value = read_value(at);
		if (value == NULL) {
			CFRelease(array);
			return NULL;
		}
		twin_array_append(array, value);
		CFRelease(value);
	}
	return array;
}

static CFTypeRef read_value(const char **at) {
	if (skip(at, "<dict/>")) return CFDictionaryCreateMutable(
		NULL, 0, &kCFTypeDictionaryKeyCallBacks, &kCFTypeDictionaryValueCallBacks);
	if (skip(at, "<dict>")) return read_dictionary(at);
	if (skip(at, "<array/>")) return twin_array_create();
	if (skip(at, "<array>")) return read_array(at);
	if (skip(at, "<true/>")) return CFRetain(kCFBooleanTrue);
	if (skip(at, "<false/>")) return CFRetain(kCFBooleanFalse);
	if (skip(at, "<string/>")) return CFStringCreateWithCString(NULL, "", kCFStringEncodingUTF8);
	if (skip(at, "<string>")) return read_text(at, "</string>");
	if (skip(at, "<integer>")) {
		char *end;
		int64_t number = strtoll(*at, &end, 0);
		*at = end;
		return skip(at, "</integer>") ? CFNumberCreate(NULL, kCFNumberSInt64Type, &number) : NULL;
	}
	return NULL;
}

CFTypeRef read_plist(const char *text) {
	const char *at = strstr(text, "<plist");
	if (at == NULL || (at = strchr(at, '>')) == NULL) return NULL;
	at++;
	CFTypeRef value = read_value(&at);
	if (value != NULL && !skip(&at, "</plist>")) {
		CFRelease(value);
		return NULL;
	}
	return value;
}
