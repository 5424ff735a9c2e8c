#include "store/script.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "store/resp.h"

void script_name(const char *text, size_t len, char name[SCRIPT_NAME_LEN + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (EVP_Digest(text, len, digest, NULL, EVP_sha1(), NULL) != 1) {
		fputs("presence: SHA-1 failed\n", stderr);
		abort();
	}
	for (size_t i = 0; i < SCRIPT_NAME_LEN / 2; i++)
		snprintf(name + 2 * i, 3, "%02x", digest[i]);
}

void script_put_load(struct printbuf *out, const char *text, size_t len)
{
	resp_begin(out, 3);
	resp_text(out, "SCRIPT");
	resp_text(out, "LOAD");
	resp_arg(out, text, len);
}
