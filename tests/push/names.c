/*
 * For LD_PRELOAD: names are resolved by the file NAMES, lines of "name address",
 * which is read at each look-up; others are unknown.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dlfcn.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
		struct addrinfo **result)
{
	resolver *real = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
	const char *path = getenv("NAMES");
	FILE *file = path != NULL ? fopen(path, "re") : NULL;
	char line_name[256], address[64];

	while (file != NULL && fscanf(file, "%255s %63s", line_name, address) == 2) {
		if (name != NULL && strcmp(name, line_name) == 0) {
			fclose(file);
			return real(address, service, hints, result);
		}
	}
	if (file != NULL)
		fclose(file);
	return EAI_NONAME;
}
