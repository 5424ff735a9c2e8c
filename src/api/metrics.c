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

/* The first partition, which has what processes tell; with this worker's own figures in front when they are due. */
static struct problem ask_first(struct request *request)
{
	struct service *service = request->service;
	const struct store *first = request_first_store(request);
	int64_t now = times_mono_ms();
	bool tells = service->tally != NULL && tally_is_due(service->tally, now);
	struct printbuf *pipeline;
	struct problem problem;

	request_pipeline(request);
	pipeline = request_to(request, first);
	if (tells)
		tally_put(service->tally, pipeline, first, now, false);
	scrape_put(pipeline, first);
	problem = request_ask(request, 1U + tells);
	if (tells)
		tally_read(service->tally,
			   problem.kind == PROBLEM_NONE ? request->replies[0] : NULL);
	return problem;
}

static struct problem ask_others(struct request *request, unsigned partitions)
{
	request_pipeline(request);
	for (unsigned i = 1; i < partitions; i++) {
		const struct store *store = partitions_at(request->service->partitions, i);

		scrape_put(request_to(request, store), store);
	}
	return request_ask(request, partitions - 1);
}

static bool read_last(struct request *request, struct scrape *scrape, size_t count)
{
	bool ok = true;

	for (size_t i = request->reply_count - count; i < request->reply_count; i++)
		ok = scrape_read(scrape, request->replies[i]) && ok;
	return ok;
}

/* While another partition is away, the figures say so: what they tell of all of them is left out. */
static struct problem gather(struct request *request, struct scrape *scrape)
{
	unsigned partitions = partitions_count(request->service->partitions);
	struct problem problem = ask_first(request);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	if (!read_last(request, scrape, 1))
		return request_bad_reply(request);
	if (partitions == 1)
		return problem;
	if (ask_others(request, partitions).kind != PROBLEM_NONE)
		scrape->is_partial = true;
	else if (!read_last(request, scrape, partitions - 1))
		return request_bad_reply(request);
	return problem;
}

struct problem metrics_scrape(struct request *request)
{
	enum scrape_format format = scrape_format_of(cgi_param(request->env, "HTTP_ACCEPT"));
	struct problem problem = authorize(request);
	struct scrape scrape;

	if (problem.kind != PROBLEM_NONE)
		return problem;
	scrape_init(&scrape);
	problem = gather(request, &scrape);
	if (problem.kind == PROBLEM_NONE) {
		scrape_sort(&scrape);
		scrape_put_text(request->answer, &scrape, format);
		request->type = scrape_content_type(format);
	}
	scrape_clear(&scrape);
	return problem;
}
