/* XPC objects, as far as they are exported by the stand-in. Everything answered by a get function is borrowed. */
#ifndef TWIN_XPC_H
#define TWIN_XPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rules.h"

typedef void *xpc_object_t;
typedef const struct xpc_type_s *xpc_type_t;

/* xpc_get_type answers the address of one of these. */
APPLE extern const struct xpc_type_s _xpc_type_dictionary, _xpc_type_array, _xpc_type_string, _xpc_type_uint64,
	_xpc_type_int64, _xpc_type_bool, _xpc_type_uuid, _xpc_type_data, _xpc_type_null;

APPLE xpc_type_t xpc_get_type(xpc_object_t object);
APPLE const char *xpc_type_get_name(xpc_type_t type);
APPLE xpc_object_t xpc_retain(xpc_object_t object);
APPLE void xpc_release(xpc_object_t object);
APPLE char *xpc_copy_description(xpc_object_t object);
APPLE bool xpc_equal(xpc_object_t one, xpc_object_t other);

APPLE xpc_object_t xpc_uint64_create(uint64_t value);
APPLE uint64_t xpc_uint64_get_value(xpc_object_t object);
APPLE xpc_object_t xpc_int64_create(int64_t value);
APPLE int64_t xpc_int64_get_value(xpc_object_t object);
APPLE xpc_object_t xpc_bool_create(bool value);
APPLE bool xpc_bool_get_value(xpc_object_t object);
APPLE xpc_object_t xpc_string_create(const char *text);
APPLE const char *xpc_string_get_string_ptr(xpc_object_t object);
APPLE size_t xpc_string_get_length(xpc_object_t object);
APPLE xpc_object_t xpc_uuid_create(const unsigned char uuid[16]);
APPLE const uint8_t *xpc_uuid_get_bytes(xpc_object_t object);

APPLE xpc_object_t xpc_dictionary_create(const char *const *keys, const xpc_object_t *values, size_t count);
APPLE xpc_object_t xpc_dictionary_create_empty(void);
APPLE size_t xpc_dictionary_get_count(xpc_object_t dictionary);
APPLE void xpc_dictionary_set_value(xpc_object_t dictionary, const char *key, xpc_object_t value);
APPLE void xpc_dictionary_set_uint64(xpc_object_t dictionary, const char *key, uint64_t value);
APPLE void xpc_dictionary_set_int64(xpc_object_t dictionary, const char *key, int64_t value);
APPLE void xpc_dictionary_set_bool(xpc_object_t dictionary, const char *key, bool value);
APPLE void xpc_dictionary_set_string(xpc_object_t dictionary, const char *key, const char *text);
APPLE void xpc_dictionary_set_uuid(xpc_object_t dictionary, const char *key, const unsigned char uuid[16]);
APPLE xpc_object_t xpc_dictionary_get_value(xpc_object_t dictionary, const char *key);
APPLE uint64_t xpc_dictionary_get_uint64(xpc_object_t dictionary, const char *key);
APPLE int64_t xpc_dictionary_get_int64(xpc_object_t dictionary, const char *key);
APPLE bool xpc_dictionary_get_bool(xpc_object_t dictionary, const char *key);
APPLE const char *xpc_dictionary_get_string(xpc_object_t dictionary, const char *key);
APPLE const uint8_t *xpc_dictionary_get_uuid(xpc_object_t dictionary, const char *key);
APPLE bool xpc_dictionary_apply(xpc_object_t dictionary, bool (^applier)(const char *key, xpc_object_t value));

/* The index that means "at the end". */
#define XPC_ARRAY_APPEND ((size_t)-1)
APPLE xpc_object_t xpc_array_create(const xpc_object_t *values, size_t count);
APPLE void xpc_array_append_value(xpc_object_t array, xpc_object_t value);
APPLE size_t xpc_array_get_count(xpc_object_t array);
APPLE xpc_object_t xpc_array_get_value(xpc_object_t array, size_t index);
APPLE bool xpc_array_apply(xpc_object_t array, bool (^applier)(size_t index, xpc_object_t value));

#endif
