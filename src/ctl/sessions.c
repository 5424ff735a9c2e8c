#include "ctl/sessions.h"

#include "base/span.h"
#include "ctl/table.h"

void sessions_put_lines(struct printbuf *out, const struct session_list *sessions,
			const char *indent)
{
	static const char *const headers[] = {"KIND", "TOK", "STREAM", "LEFT", NULL};
	struct table *table = table_new(headers);

	for (size_t i = 0; i < sessions->count; i++) {
		const struct session *session = &sessions->list[i];
		char left[SPAN_SIZE] = "lapsed";

		if (session->left > 0)
			span_put(left, (session->left + 999) / 1000);
		table_add(table, session->is_stream ? "stream" : "token");
		table_addf(table, "%.*s", session->tok_len, session->tok);
		table_add(table, session->is_stream ? session->random : "-");
		table_addf(table, "%s%s", left, session->is_closing ? ", closing" : "");
	}
	table_put(table, out, indent);
	table_free(table);
}
