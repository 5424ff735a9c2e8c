#include "store/pipeline.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "store/resp.h"

void pipeline_resize(struct pipeline *pipeline, unsigned servers)
{
	pipeline->parts = xrealloc(pipeline->parts, servers * sizeof *pipeline->parts);
	while (pipeline->servers < servers)
		pipeline->parts[pipeline->servers++] = (struct pipeline_part){.out = buf_new()};
}

void pipeline_clear(struct pipeline *pipeline)
{
	for (unsigned i = 0; i < pipeline->servers; i++)
		printbuf_free(pipeline->parts[i].out);
	free(pipeline->parts);
	free(pipeline->runs);
}

void pipeline_begin(struct pipeline *pipeline)
{
	for (unsigned i = 0; i < pipeline->servers; i++) {
		buf_reset(pipeline->parts[i].out);
		pipeline->parts[i].count = 0;
	}
	pipeline->run_count = 0;
}

static void end_run(struct pipeline *pipeline)
{
	struct pipeline_run *run = &pipeline->runs[pipeline->run_count - 1];

	run->end = buf_len(pipeline->parts[run->server].out);
}

struct printbuf *pipeline_to(struct pipeline *pipeline, unsigned server)
{
	struct printbuf *out = pipeline->parts[server].out;

	if (pipeline->run_count > 0) {
		if (pipeline->runs[pipeline->run_count - 1].server == server)
			return out;
		end_run(pipeline);
	}
	if (pipeline->run_count == pipeline->run_capacity) {
		pipeline->run_capacity = pipeline->run_capacity * 2 + 8;
		pipeline->runs =
			xrealloc(pipeline->runs, pipeline->run_capacity * sizeof *pipeline->runs);
	}
	pipeline->runs[pipeline->run_count++] =
		(struct pipeline_run){.server = server, .start = buf_len(out)};
	return out;
}

void pipeline_end(struct pipeline *pipeline, size_t count)
{
	end_run(pipeline);
	if (pipeline->run_count == 1) {
		pipeline->runs[0].count = pipeline->parts[pipeline->runs[0].server].count = count;
		return;
	}
	for (size_t i = 0; i < pipeline->run_count; i++) {
		struct pipeline_run *run = &pipeline->runs[i];

		run->count = resp_count(pipeline_text(pipeline, run), run->end - run->start);
		pipeline->parts[run->server].count += run->count;
	}
}

void pipeline_sort(const struct pipeline *pipeline, redisReply *const *by_server,
		   redisReply **replies)
{
	size_t *next = xcalloc(pipeline->servers, sizeof *next), done = 0;

	for (unsigned i = 1; i < pipeline->servers; i++)
		next[i] = next[i - 1] + pipeline->parts[i - 1].count;
	for (size_t i = 0; i < pipeline->run_count; i++) {
		for (size_t left = pipeline->runs[i].count; left > 0; left--)
			replies[done++] = by_server[next[pipeline->runs[i].server]++];
	}
	free(next);
}

const char *pipeline_text(const struct pipeline *pipeline, const struct pipeline_run *run)
{
	return pipeline->parts[run->server].out->buf + run->start;
}
