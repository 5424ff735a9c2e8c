#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory)
{
	if (memory == NULL) {
		fputs("presence: out of memory\n", stderr);
		abort();
	}
	return memory;
}

void *xmalloc(size_t size)
{
	return checked(malloc(size != 0 ? size : 1));
}

void *xcalloc(size_t count, size_t size)
{
	return checked(calloc(count != 0 ? count : 1, size != 0 ? size : 1));
}

void *xrealloc(void *old, size_t size)
{
	return checked(realloc(old, size != 0 ? size : 1));
}

char *xstrdup(const char *text)
{
	return checked(strdup(text));
}

char *xstrndup(const char *text, size_t len)
{
	return checked(strndup(text, len));
}

void *xmemdup(const void *data, size_t len)
{
	return memcpy(xmalloc(len), data, len);
}
