/* Certificates made by openssl in the stack's directory: NAME.pem and NAME.key, on P-256, for a day. */
#ifndef PRESENCE_TESTS_CERTIFICATES_H
#define PRESENCE_TESTS_CERTIFICATES_H

#include "harness.h"

/* An authority that signs for itself. */
void certificate_make_authority(struct stack *stack, const char *name);
/* One for `names` ("DNS:localhost,IP:127.0.0.1"), signed by that authority. */
void certificate_make(struct stack *stack, const char *name, const char *authority,
		      const char *names);
/* The same, of a week ago: its day is over. */
void certificate_make_expired(struct stack *stack, const char *name, const char *authority,
			      const char *names);

#endif
