/* Memory: the one place where an allocation is checked. */
#ifndef PRESENCE_BASE_ALLOC_H
#define PRESENCE_BASE_ALLOC_H

#include <stddef.h>

/*
 * Each returns memory that the caller frees with free(), never NULL: when the
 * system has none left, the process says so on stderr and aborts. What peers
 * can make us allocate is bounded elsewhere, so this is the machine's trouble.
 */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t len);
void *xmemdup(const void *data, size_t len);

#endif
