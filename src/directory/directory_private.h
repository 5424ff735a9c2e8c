/* What schema.c needs of directory.c, and nobody else. */
#ifndef PRESENCE_DIRECTORY_PRIVATE_H
#define PRESENCE_DIRECTORY_PRIVATE_H

#include "directory/directory.h"
#include "directory/sql.h"

/* The connection for the owner's own thread; NULL unless the backend is sql. Borrowed. */
struct sql *directory_sql(const struct directory *directory);

#endif
