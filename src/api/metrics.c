#include "api/resources.h"

#include <string.h>

#include <openssl/crypto.h>

#include "auth/credentials.h"
#include "base/cgi.h"
#include "base/times.h"
#include "store/scrape_text.h"

/* The secret of [metrics] token_file, which is no token of a user. */
static struct problem authorize(const struct request *request)
{
	const struct secret_file *secret = &request->service->metrics_token;
	size_t len = 0;
	const char *token = credentials_bearer(request->env, &len);

	if (token == NULL)
		return request_refuse(PROBLEM_TOKEN_MISSING, NULL);
	if (len != secret->len || CRYPTO_memcmp(token, secret->data, len) != 0)
		return request_refuse(PROBLEM_TOKEN_INVALID,
				      "This call takes the token of [metrics] token_file.");
	return request_done();
}

/* One round trip, with this worker's own figures in front when it is time to tell them. */
static struct problem ask(struct request *request, unsigned partitions)
{
	struct service *service = request->service;
	const struct store *first = request_first_store(request);
	int64_t now = times_mono_ms();
	bool tells = service->tally != NULL && tally_is_due(service->tally, now);
	struct problem problem;

	request_pipeline(request);
	if (tells)
		tally_put(service->tally, request_to(request, first), first, now, false);
	for (unsigned i = 0; i < partitions; i++) {
		const struct store *store = partitions_at(service->partitions, i);

		scrape_put(request_to(request, store), store);
	}
	problem = request_ask(request, partitions + tells);
	if (tells)
		tally_read(service->tally,
			   problem.kind == PROBLEM_NONE ? request->replies[0] : NULL);
	return problem;
}

struct problem metrics_scrape(struct request *request)
{
	unsigned partitions = partitions_count(request->service->partitions);
	enum scrape_format format = scrape_format_of(cgi_param(request->env, "HTTP_ACCEPT"));
	struct problem problem = authorize(request);
	struct scrape scrape;

	if (problem.kind == PROBLEM_NONE)
		problem = ask(request, partitions);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	scrape_init(&scrape);
	for (size_t i = request->reply_count - partitions; i < request->reply_count; i++) {
		if (!scrape_read(&scrape, request->replies[i]))
			problem = request_bad_reply(request);
	}
	scrape_sort(&scrape);
	scrape_put_text(request->answer, &scrape, format);
	scrape_clear(&scrape);
	request->type = scrape_content_type(format);
	return problem;
}
