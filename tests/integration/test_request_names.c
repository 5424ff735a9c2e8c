/* The name of a request: the web server's own, in the answer, in its log and in ours. docs/operator.md has the lines. */
#include "calls.h"
#include "servers.h"

#include <stdio.h>
#include <string.h>

#define SOON 5000
#define FORGED "a-name-of-the-client"
#define FORGED_NAME "X-Request-Id: " FORGED
#define NGINX "fastcgi_param HTTP_X_REQUEST_ID $request_id;"
#define APACHE "RequestHeader set X-Request-Id \"%{UNIQUE_ID}e\""
#define APACHE_LOG "%{UNIQUE_ID}e"
#define MODULE "LoadModule unique_id_module /usr/lib/apache2/modules/mod_unique_id.so\n"
#define HAPROXY_DROPS "http-request del-header X-Request-Id"
#define HAPROXY_FORMAT "unique-id-format %[uuid()]"
#define HAPROXY_HEADER "unique-id-header X-Request-Id"
#define AGENT "\\\"%{User-Agent}i\\\""
#define APACHE_CHANGES                                                                   \
	{                                                                                \
		{"ServerName localhost\n", "ServerName localhost\n" MODULE APACHE "\n"}, \
		{                                                                        \
			"access.log presence\n",                                         \
				"access.log \"\\\"%m %U %H\\\" %>s " APACHE_LOG "\"\n"   \
		}                                                                        \
	}

/* What is changed in a server's file, of which the lines are in the document. */
static const struct naming {
	const char *server, *file;
	struct change changes[4];
	const char *lines[4];
	const char *access_log, *log; /* the server's; what presence-api writes */
	bool makes_names; /* the server does: then a client's is not taken */
} namings[] = {
	{"lighttpd, bin-path",
	 "lighttpd.conf",
	 {{AGENT, AGENT " %{X-Request-Id}o"}},
	 {"%{X-Request-Id}o"},
	 "access.log",
	 "lighttpd.log",
	 false},
	{"Apache, mod_fcgid and mod_proxy_fcgi",
	 "apache.conf",
	 APACHE_CHANGES,
	 {APACHE, APACHE_LOG},
	 "access.log",
	 "apache-error.log",
	 true},
	{"Apache, mod_proxy_fcgi alone",
	 "apache.conf",
	 APACHE_CHANGES,
	 {APACHE, APACHE_LOG},
	 "access.log",
	 "api.log",
	 true},
	{"Apache, mod_cgid",
	 "apache.conf",
	 APACHE_CHANGES,
	 {APACHE, APACHE_LOG},
	 "access.log",
	 "apache-error.log",
	 true},
	{"nginx",
	 "nginx.conf",
	 {{"# Authorization, as every field", NGINX "\n# Authorization, as every field"},
	  {"# Failed logins are counted", NGINX "\n# Failed logins are counted"},
	  {"'\"$http_user_agent\"';", "'\"$http_user_agent\" $request_id';"}},
	 {NGINX, "`$request_id`"},
	 "access.log",
	 "api.log",
	 true},
	{"HAProxy",
	 "haproxy.cfg",
	 {{"frontend www\n",
	   "frontend www\n" HAPROXY_DROPS "\n" HAPROXY_FORMAT "\n" HAPROXY_HEADER "\n"},
	  {"%HV\\\"\"", "%HV\\\" %ID\""}},
	 {HAPROXY_DROPS, HAPROXY_FORMAT, HAPROXY_HEADER, "`%ID`"},
	 "haproxy.log",
	 "api.log",
	 true},
};

static const struct server *find_server(const char *name)
{
	int i = 0;

	while (i < server_count && strcmp(servers[i].name, name) != 0)
		i++;
	ck_assert_msg(i < server_count, "no server '%s'", name);
	return &servers[i];
}

static struct site *start_named(const struct naming *naming)
{
	struct site *site =
		site_start(find_server(naming->server),
			   "log { level = \"debug\" }\nredis { timeout_ms = 300 }\n", 30);

	for (size_t i = 0; naming->changes[i].from != NULL; i++) {
		/* A program that the web server has forked and not yet executed does not end with it. */
		WAIT_UNTIL(HTTP(site->stack, .path = HEALTH)->status == 200, SOON);
		site_change(site, naming->file, naming->changes[i].from, naming->changes[i].to);
	}
	return site;
}

static void wait_in_log(struct site *site, const char *log, const char *text)
{
	char *seen;

	for (int64_t end = now_ms() + patience(SOON);
	     strstr(seen = stack_file(site->stack, log), text) == NULL; nap())
		ck_assert_msg(now_ms() < end, "expected '%s' in %s:\n%s", text, log, seen);
}

/* The error of a request that brings a name of the client's, and where its name is found. */
static void check_name(struct site *site, const struct naming *naming, struct response *response,
		       int status, const char *log)
{
	const char *name;

	ck_assert_msg(response->status == status, "expected %d: %d %s", status, response->status,
		      response->body);
	name = json_text(response->json, "request_id");
	ck_assert_str_eq(header_of(response->head, "X-Request-Id"), name);
	ck_assert_msg((strcmp(name, FORGED) == 0) != naming->makes_names, "%s: the name is '%s'",
		      naming->server, name);
	wait_in_log(site, naming->access_log, name);
	wait_in_log(site, log, text_of(" request=\"%s\"", name));
}

START_TEST(the_web_servers_name_of_a_request_is_in_the_answer_and_in_both_logs)
{
	const struct naming *naming = &namings[_i];
	struct site *site = start_named(naming);
	const char *token = token_for(site->stack, "1");

	if (site->server->traits & STREAMS)
		check_name(site, naming, HTTP(site->stack, .path = STREAM, .header = FORGED_NAME),
			   401, "streamd0.log");
	redis_kill(site->stack);
	check_name(site, naming,
		   HTTP(site->stack, .path = COUNT, .token = token, .header = FORGED_NAME), 503,
		   naming->log);
	redis_start(site->stack, NULL);
	site_stop(site);
}
END_TEST

START_TEST(the_document_has_these_lines)
{
	const char *text = source_file("docs/operator.md");

	for (size_t i = 0; i < 4 && namings[_i].lines[i] != NULL; i++)
		check_has(text, namings[_i].lines[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names of requests");
	TCase *tcase = harness_case(suite, "names", 60);
	int count = sizeof namings / sizeof namings[0];

	tcase_add_loop_test(tcase,
			    the_web_servers_name_of_a_request_is_in_the_answer_and_in_both_logs, 0,
			    count);
	tcase_add_loop_test(tcase, the_document_has_these_lines, 0, count);
	return harness_main(suite);
}
