/* XML property lists: what preferences are stored as. */
#ifndef TWIN_PLIST_H
#define TWIN_PLIST_H

#include <stdio.h>

#include "cf.h"

/* Writes the list; the object may hold dictionaries, arrays, strings, integers and booleans. */
void write_plist(FILE *to, CFTypeRef object);
/* Reads one, as mutable dictionaries; NULL when it is none. */
CFTypeRef read_plist(const char *text);

#endif
