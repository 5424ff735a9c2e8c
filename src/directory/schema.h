/* What schema.c needs of the directory. */
#ifndef PRESENCE_DIRECTORY_SCHEMA_H
#define PRESENCE_DIRECTORY_SCHEMA_H

#include "directory/directory.h"
#include "directory/sql.h"

/* The connection for the owner's own thread; NULL unless the backend is sql. Borrowed. */
struct sql *directory_sql(const struct directory *directory);

#endif
