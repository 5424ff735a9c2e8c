#include "certificates.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define ARGS_MAX 40
#define NEW_KEY                                                                            \
	"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", \
		"-nodes", "-days", "1"

static const char *path_of(struct stack *stack, const char *name, const char *suffix)
{
	char *file;

	ck_assert(asprintf(&file, "%s%s", name, suffix) > 0);
	return stack_path(stack, file);
}

static void openssl(struct stack *stack, const char *const argv[])
{
	char *out;

	ck_assert_msg(run(stack, &out, NULL, argv) == 0, "openssl: %s", out);
	free(out);
}

void certificate_make_authority(struct stack *stack, const char *name)
{
	openssl(stack, (const char *[]){NEW_KEY, "-subj", "/CN=authority", "-keyout",
					path_of(stack, name, ".key"), "-out",
					path_of(stack, name, ".pem"), NULL});
}

static void make(struct stack *stack, const char *name, const char *authority, const char *names,
		 const char *const before[])
{
	const char *key = path_of(stack, name, ".key"), *argv[ARGS_MAX] = {NULL};
	char *alternative;
	const char *const args[] = {NEW_KEY,
				    "-subj",
				    "/CN=one",
				    "-addext",
				    "basicConstraints=critical,CA:FALSE",
				    "-CA",
				    path_of(stack, authority, ".pem"),
				    "-CAkey",
				    path_of(stack, authority, ".key"),
				    "-keyout",
				    key,
				    "-out",
				    path_of(stack, name, ".pem"),
				    "-addext"};
	size_t count = 0;

	ck_assert(asprintf(&alternative, "subjectAltName=%s", names) > 0);
	while (before != NULL && before[count] != NULL) {
		argv[count] = before[count];
		count++;
	}
	for (size_t i = 0; i < sizeof args / sizeof args[0]; i++)
		argv[count++] = args[i];
	argv[count] = alternative;
	openssl(stack, argv);
	ck_assert_int_eq(chmod(key, 0600), 0);
	free(alternative);
}

void certificate_make(struct stack *stack, const char *name, const char *authority,
		      const char *names)
{
	make(stack, name, authority, names, NULL);
}

void certificate_make_expired(struct stack *stack, const char *name, const char *authority,
			      const char *names)
{
	make(stack, name, authority, names,
	     (const char *[]){"env", "LD_PRELOAD=" FAKETIME, "FAKETIME=-7d", NULL});
}
