/*
 * XPC objects. create and copy give a reference, get functions lend: what they lend dies with its dictionary, and its
 * text is overwritten then, so that a late reader sees it. A get of a missing key, or of another type, gives 0 or NULL.
 */
#define _GNU_SOURCE
#include "xpc.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct xpc_type_s { const char *name; };
const struct xpc_type_s _xpc_type_dictionary = {"dictionary"}, _xpc_type_array = {"array"}, _xpc_type_string = {"string"},
	_xpc_type_uint64 = {"uint64"}, _xpc_type_int64 = {"int64"}, _xpc_type_bool = {"bool"}, _xpc_type_uuid = {"uuid"},
	_xpc_type_data = {"data"}, _xpc_type_null = {"null"};

struct entry {
	char *key;
	struct xpc *value;
};

struct xpc {
	struct twin_object object;
	xpc_type_t type;
	union {
		uint64_t number;
		bool truth;
		char *text;
		uint8_t uuid[16];
		struct { struct entry *entries; size_t count; } list; /* keys are NULL in an array */
	};
};

static void destroy(void *given) {
	struct xpc *object = given;
	if (object->type == &_xpc_type_string) {
		memset(object->text, 0xa5, strlen(object->text));
		free(object->text);
	}
	if (object->type == &_xpc_type_uuid) memset(object->uuid, 0xa5, sizeof object->uuid);
	if (object->type == &_xpc_type_dictionary || object->type == &_xpc_type_array) {
		for (size_t i = 0; i < object->list.count; i++) {
			free(object->list.entries[i].key);
			twin_release(object->list.entries[i].value);
		}
		free(object->list.entries);
	}
}

static struct twin_class xpc_class = {.name = "XPC object", .family = XPC_FAMILY, .destroy = destroy};

static struct xpc *make(xpc_type_t type) {
	struct xpc *object = twin_new(&xpc_class, sizeof *object);
	object->type = type;
	return object;
}

static struct xpc *checked(xpc_object_t given, xpc_type_t type, const char *function) {
	twin_check(given, XPC_FAMILY, NULL, function);
	struct xpc *object = given;
	if (type != NULL && object->type != type)
		twin_broken("%s was given a %s and not a %s", function, object->type->name, type->name);
	return object;
}

xpc_type_t xpc_get_type(xpc_object_t object) { return checked(object, NULL, "xpc_get_type")->type; }
const char *xpc_type_get_name(xpc_type_t type) { return type->name; }

xpc_object_t xpc_retain(xpc_object_t object) {
	twin_retain(checked(object, NULL, "xpc_retain"));
	return object;
}

void xpc_release(xpc_object_t object) { twin_release(checked(object, NULL, "xpc_release")); }

/* --- plain values --- */

xpc_object_t xpc_uint64_create(uint64_t value) {
	struct xpc *object = make(&_xpc_type_uint64);
	object->number = value;
	return object;
}

xpc_object_t xpc_int64_create(int64_t value) {
	struct xpc *object = make(&_xpc_type_int64);
	object->number = (uint64_t)value;
	return object;
}

xpc_object_t xpc_bool_create(bool value) {
	static struct xpc constants[2] = {
		{{TWIN_LIVE, &xpc_class, 1, true}, &_xpc_type_bool, {.truth = false}},
		{{TWIN_LIVE, &xpc_class, 1, true}, &_xpc_type_bool, {.truth = true}},
	};
	return &constants[value];
}

xpc_object_t xpc_string_create(const char *text) {
	if (text == NULL) twin_broken("xpc_string_create was given NULL");
	struct xpc *object = make(&_xpc_type_string);
	object->text = strdup(text);
	return object;
}

xpc_object_t xpc_uuid_create(const unsigned char uuid[16]) {
	struct xpc *object = make(&_xpc_type_uuid);
	memcpy(object->uuid, uuid, 16);
	return object;
}

uint64_t xpc_uint64_get_value(xpc_object_t given) {
	struct xpc *object = checked(given, NULL, "xpc_uint64_get_value");
	return object->type == &_xpc_type_uint64 ? object->number : 0;
}

int64_t xpc_int64_get_value(xpc_object_t given) {
	struct xpc *object = checked(given, NULL, "xpc_int64_get_value");
	return object->type == &_xpc_type_int64 ? (int64_t)object->number : 0;
}

bool xpc_bool_get_value(xpc_object_t given) {
	struct xpc *object = checked(given, NULL, "xpc_bool_get_value");
	return object->type == &_xpc_type_bool && object->truth;
}

const char *xpc_string_get_string_ptr(xpc_object_t given) {
	struct xpc *object = checked(given, NULL, "xpc_string_get_string_ptr");
	return object->type == &_xpc_type_string ? object->text : NULL;
}

size_t xpc_string_get_length(xpc_object_t given) {
	const char *text = xpc_string_get_string_ptr(given);
	return text == NULL ? 0 : strlen(text);
}

const uint8_t *xpc_uuid_get_bytes(xpc_object_t given) {
	struct xpc *object = checked(given, NULL, "xpc_uuid_get_bytes");
	return object->type == &_xpc_type_uuid ? object->uuid : NULL;
}

/* --- dictionaries and arrays --- */

static void append(struct xpc *object, const char *key, struct xpc *value) {
	size_t count = object->list.count++;
	object->list.entries = realloc(object->list.entries, (count + 1) * sizeof *object->list.entries);
	object->list.entries[count] = (struct entry){key == NULL ? NULL : strdup(key), value};
}

/* Takes the reference. */
static void put(xpc_object_t given, const char *key, xpc_object_t value, const char *function) {
	struct xpc *dictionary = checked(given, &_xpc_type_dictionary, function);
	if (key == NULL) twin_broken("%s was given no key", function);
	for (size_t i = 0; i < dictionary->list.count; i++) {
		struct entry *entry = &dictionary->list.entries[i];
		if (strcmp(entry->key, key) != 0) continue;
		twin_release(entry->value);
		entry->value = value;
		return;
	}
	append(dictionary, key, value);
}

xpc_object_t xpc_dictionary_create(const char *const *keys, const xpc_object_t *values, size_t count) {
	if (count > 0 && (keys == NULL || values == NULL)) twin_broken("xpc_dictionary_create: %zu values, none given", count);
	xpc_object_t dictionary = make(&_xpc_type_dictionary);
	for (size_t i = 0; i < count; i++) xpc_dictionary_set_value(dictionary, keys[i], values[i]);
	return dictionary;
}

xpc_object_t xpc_dictionary_create_empty(void) { return make(&_xpc_type_dictionary); }

size_t xpc_dictionary_get_count(xpc_object_t dictionary) {
	return checked(dictionary, &_xpc_type_dictionary, "xpc_dictionary_get_count")->list.count;
}

void xpc_dictionary_set_value(xpc_object_t dictionary, const char *key, xpc_object_t value) {
	put(dictionary, key, xpc_retain(value), "xpc_dictionary_set_value");
}
void xpc_dictionary_set_uint64(xpc_object_t dictionary, const char *key, uint64_t value) {
	put(dictionary, key, xpc_uint64_create(value), "xpc_dictionary_set_uint64");
}
void xpc_dictionary_set_int64(xpc_object_t dictionary, const char *key, int64_t value) {
	put(dictionary, key, xpc_int64_create(value), "xpc_dictionary_set_int64");
}
void xpc_dictionary_set_bool(xpc_object_t dictionary, const char *key, bool value) {
	put(dictionary, key, xpc_bool_create(value), "xpc_dictionary_set_bool");
}
void xpc_dictionary_set_string(xpc_object_t dictionary, const char *key, const char *text) {
	put(dictionary, key, xpc_string_create(text), "xpc_dictionary_set_string");
}
void xpc_dictionary_set_uuid(xpc_object_t dictionary, const char *key, const unsigned char uuid[16]) {
	put(dictionary, key, xpc_uuid_create(uuid), "xpc_dictionary_set_uuid");
}

static struct xpc *find(xpc_object_t given, const char *key, xpc_type_t type, const char *function) {
	struct xpc *dictionary = checked(given, &_xpc_type_dictionary, function);
	if (key == NULL) twin_broken("%s was given no key", function);
	for (size_t i = 0; i < dictionary->list.count; i++) {
		struct entry *entry = &dictionary->list.entries[i];
		if (strcmp(entry->key, key) == 0) return type == NULL || entry->value->type == type ? entry->value : NULL;
	}
	return NULL;
}

xpc_object_t xpc_dictionary_get_value(xpc_object_t dictionary, const char *key) {
	return find(dictionary, key, NULL, "xpc_dictionary_get_value");
}
uint64_t xpc_dictionary_get_uint64(xpc_object_t dictionary, const char *key) {
	struct xpc *value = find(dictionary, key, &_xpc_type_uint64, "xpc_dictionary_get_uint64");
	return value == NULL ? 0 : value->number;
}
int64_t xpc_dictionary_get_int64(xpc_object_t dictionary, const char *key) {
	struct xpc *value = find(dictionary, key, &_xpc_type_int64, "xpc_dictionary_get_int64");
	return value == NULL ? 0 : (int64_t)value->number;
}
bool xpc_dictionary_get_bool(xpc_object_t dictionary, const char *key) {
	struct xpc *value = find(dictionary, key, &_xpc_type_bool, "xpc_dictionary_get_bool");
	return value != NULL && value->truth;
}
const char *xpc_dictionary_get_string(xpc_object_t dictionary, const char *key) {
	struct xpc *value = find(dictionary, key, &_xpc_type_string, "xpc_dictionary_get_string");
	return value == NULL ? NULL : value->text;
}
const uint8_t *xpc_dictionary_get_uuid(xpc_object_t dictionary, const char *key) {
	struct xpc *value = find(dictionary, key, &_xpc_type_uuid, "xpc_dictionary_get_uuid");
	return value == NULL ? NULL : value->uuid;
}

bool xpc_dictionary_apply(xpc_object_t given, bool (^applier)(const char *key, xpc_object_t value)) {
	struct xpc *dictionary = checked(given, &_xpc_type_dictionary, "xpc_dictionary_apply");
	twin_block_check((const void *)applier, "xpc_dictionary_apply");
	for (size_t i = 0; i < dictionary->list.count; i++)
		if (!applier(dictionary->list.entries[i].key, dictionary->list.entries[i].value)) return false;
	return true;
}

xpc_object_t xpc_array_create(const xpc_object_t *values, size_t count) {
	xpc_object_t array = make(&_xpc_type_array);
	for (size_t i = 0; i < count; i++) xpc_array_append_value(array, values[i]);
	return array;
}

void xpc_array_append_value(xpc_object_t array, xpc_object_t value) {
	append(checked(array, &_xpc_type_array, "xpc_array_append_value"), NULL, xpc_retain(value));
}

size_t xpc_array_get_count(xpc_object_t array) {
	return checked(array, &_xpc_type_array, "xpc_array_get_count")->list.count;
}

xpc_object_t xpc_array_get_value(xpc_object_t given, size_t index) {
	struct xpc *array = checked(given, &_xpc_type_array, "xpc_array_get_value");
	if (index >= array->list.count) twin_broken("xpc_array_get_value: index %zu of %zu", index, array->list.count);
	return array->list.entries[index].value;
}

bool xpc_array_apply(xpc_object_t given, bool (^applier)(size_t index, xpc_object_t value)) {
	struct xpc *array = checked(given, &_xpc_type_array, "xpc_array_apply");
	twin_block_check((const void *)applier, "xpc_array_apply");
	for (size_t i = 0; i < array->list.count; i++)
		if (!applier(i, array->list.entries[i].value)) return false;
	return true;
}

/* --- descriptions --- */

static void print(FILE *to, struct xpc *object) {
	fprintf(to, "<%s>", object->type->name);
	if (object->type == &_xpc_type_uint64) fprintf(to, " %lu", object->number);
	else if (object->type == &_xpc_type_int64) fprintf(to, " %ld", (long)object->number);
	else if (object->type == &_xpc_type_bool) fputs(object->truth ? " true" : " false", to);
	else if (object->type == &_xpc_type_string) fprintf(to, " \"%s\"", object->text);
	else if (object->type == &_xpc_type_uuid)
		for (int i = 0; i < 16; i++)
			fprintf(to, "%s%02X", i == 0 ? " " : i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", object->uuid[i]);
	else if (object->type == &_xpc_type_dictionary || object->type == &_xpc_type_array) {
		fputs(" {", to);
		for (size_t i = 0; i < object->list.count; i++) {
			struct entry *entry = &object->list.entries[i];
			fprintf(to, "%s%s%s", i == 0 ? " " : ", ", entry->key == NULL ? "" : entry->key,
				entry->key == NULL ? "" : " = ");
			print(to, entry->value);
		}
		fputs(" }", to);
	}
}

char *xpc_copy_description(xpc_object_t given) {
	char *text = NULL;
	size_t length = 0;
	FILE *to = open_memstream(&text, &length);
	print(to, checked(given, NULL, "xpc_copy_description"));
	fclose(to);
	return text;
}

bool xpc_equal(xpc_object_t one, xpc_object_t other) {
	char *first = xpc_copy_description(one), *second = xpc_copy_description(other);
	bool equal = strcmp(first, second) == 0;
	free(first);
	free(second);
	return equal;
}
