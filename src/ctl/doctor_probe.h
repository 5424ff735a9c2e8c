/* doctor: one request of its own to the web server, and what came of it so far. */
#ifndef PRESENCE_CTL_DOCTOR_PROBE_H
#define PRESENCE_CTL_DOCTOR_PROBE_H

#include <stdint.h>

#include <curl/curl.h>

#include "ctl/doctor_report.h"

#define PROBE_ANSWER_MS 5000 /* for an answer that is complete */

struct probe {
	CURL *easy;
	CURLM *multi;
	struct curl_slist *fields;
	struct printbuf *head, *body; /* the body as it was before it was compressed */
	bool is_over;
	CURLcode result; /* once it is over */
};

/* The URL of a call: --url, http.base and the path; to be freed. */
char *probe_url(const struct doctor *doctor, const char *path);
/* Asks with `token` (NULL: without); probe_close() frees what the probe holds. */
void probe_open(struct probe *probe, const struct doctor *doctor, const char *method,
		const char *path, const char *token);
void probe_close(struct probe *probe);
/* Goes on until the text came `count` times (NULL: until the end), at most `ms`; whether it did. */
bool probe_until(struct probe *probe, const struct printbuf *where, const char *word, size_t count,
		 int64_t ms);
int probe_status(const struct probe *probe); /* 0: no answer yet */
/* The value of a header field; "" when there is none. */
void probe_field(const struct probe *probe, const char *name, char value[128]);
/* The code of a problem (RFC 9457); "" when the answer is not one of ours. */
void probe_code(const struct probe *probe, char code[64]);

#endif
