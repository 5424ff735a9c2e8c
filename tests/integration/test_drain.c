/*
 * Two presence-streamd behind each web server that shares out streams: one of them stops, and no
 * client waits or hears of it but those whose streams end.
 */
#include "calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "servers.h"

#define SILENT 30 /* s that the web server tolerates */
#define PROMPT 1500 /* ms in which a stream opens */
#define LATE                                                                                    \
	"presence { heartbeat = 20 stream_ttl = 60 }\nstream { drain = 4 max_streams_per_user " \
	"= 100 }\n"

#define APACHE_ONE                                                         \
	"ProxyPass \"${presence_base}/presence/stream\" "                  \
	"\"unix:${presence_stream_socket}|fcgi://presence-streamd/\" \\\n" \
	"    flushpackets=on timeout=30 enablereuse=off"
#define APACHE_MODULES                                                                      \
	"LoadModule slotmem_shm_module /usr/lib/apache2/modules/mod_slotmem_shm.so\n"       \
	"LoadModule proxy_balancer_module /usr/lib/apache2/modules/mod_proxy_balancer.so\n" \
	"LoadModule lbmethod_bybusyness_module "                                            \
	"/usr/lib/apache2/modules/mod_lbmethod_bybusyness.so\n"

/* How a second process is added to the files of conf/, as they say themselves. */
static const struct front {
	const char *server, *file, *from, *to; /* SECOND: the second socket */
	const char *zero, *one; /* and another change, or NULL */
} fronts[] = {
	{"lighttpd, a running socket", "lighttpd.conf",
	 "fastcgi.server += ( var.presence_base + \"presence/stream\" => (",
	 "fastcgi.server += ( var.presence_base + \"presence/stream\" => (\n"
	 "\"second\" => ( \"socket\" => \"SECOND\", \"check-local\" => \"disable\","
	 " \"tcp-fin-propagate\" => \"enable\", \"disable-time\" => 1 ),",
	 "\"disable-time\" => 0", "\"disable-time\" => 1"},
	{"nginx", "nginx.conf", "least_conn;", "server unix:SECOND max_fails=0; least_conn;", NULL,
	 NULL},
	{"nginx, fastcgi_keep_conn", "nginx.conf", "least_conn;",
	 "server unix:SECOND max_fails=0; least_conn;", NULL, NULL},
	{"Apache, mod_proxy_fcgi alone", "apache.conf", APACHE_ONE,
	 APACHE_MODULES
	 "<Proxy \"balancer://presence-streamd\">\n"
	 "BalancerMember \"unix:${presence_stream_socket}|fcgi://presence-streamd/\" "
	 "flushpackets=on timeout=30 enablereuse=off retry=1\n"
	 "BalancerMember \"unix:SECOND|fcgi://presence-streamd-2/\" "
	 "flushpackets=on timeout=30 enablereuse=off retry=1\n"
	 "ProxySet lbmethod=bybusyness\n</Proxy>\n"
	 "ProxyPass \"${presence_base}/presence/stream\" "
	 "\"balancer://presence-streamd\"\n",
	 NULL, NULL},
	{"HAProxy", "haproxy.cfg", "balance leastconn",
	 "balance leastconn\n    server second unix@SECOND proto fcgi", NULL, NULL},
};

static const struct server *server_of(const char *name)
{
	for (int i = 0; i < server_count; i++) {
		if (strcmp(servers[i].name, name) == 0)
			return &servers[i];
	}
	ck_abort_msg("there is no %s", name);
}

static void add_second(struct site *site, const struct front *front)
{
	const char *mark = strstr(front->to, "SECOND");
	int before = (int)(mark - front->to);

	if (front->zero != NULL)
		site_change(site, front->file, front->zero, front->one);
	site_change(site, front->file, front->from,
		    text_of("%.*s%s%s", before, front->to, streamd_socket(site->stack, 1),
			    mark + strlen("SECOND")));
}

static struct sse *open_promptly(struct stack *stack, const char *when)
{
	int64_t start = now_ms();
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	ck_assert_msg(sse_status(sse) == 200, "%s: status %d", when, sse_status(sse));
	sse_expect(sse, "connected", PROMPT);
	ck_assert_msg(now_ms() - start < patience(PROMPT), "%s: opened after %d ms", when,
		      (int)(now_ms() - start));
	return sse;
}

START_TEST(a_process_that_stops_attracts_no_stream)
{
	const struct front *front = &fronts[_i];
	struct site *site = site_start(server_of(front->server), LATE, SILENT);
	struct stack *stack = site->stack;
	struct sse *before[6];
	int64_t end;

	streamd_start(stack, 1);
	add_second(site, front);
	for (int i = 0; i < 6; i++)
		before[i] = open_promptly(stack, "before");
	kill(stack->streamd[0], SIGTERM);
	end = now_ms() + 3000;
	for (int i = 0; i < 60 && now_ms() < end; i++) {
		struct sse *sse = open_promptly(stack, "while it stops");

		if (i % 2 == 0)
			sse_close(sse);
	}
	ck_assert_int_eq(streamd_end(stack, 0, 0), 0);
	sse_close(open_promptly(stack, "after"));
	streamd_start(stack, 0);
	sse_close(open_promptly(stack, "when it is back"));
	for (int i = 0; i < 6; i++)
		sse_close(before[i]);
	site_stop(site);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("drain");
	TCase *tcase = harness_case(suite, "drain", 60);

	tcase_add_loop_test(tcase, a_process_that_stops_attracts_no_stream, 0,
			    sizeof fronts / sizeof fronts[0]);
	return harness_main(suite);
}
