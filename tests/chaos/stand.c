/* The programs of the site in its layouts: starting, killing, starting again. */
#include "chaos.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "integration/postgres.h"
#include "integration/process.h"
#include "store/layout.h"

#define KEEPS_DATA "--appendonly yes --appendfsync no"
#define SERVERS 2 /* of Redis, in LAYOUT_PARTITIONS and LAYOUT_CLUSTER */

static const char *second_redis(struct chaos *chaos)
{
	return stack_path(chaos->stand.stack, "redis1.sock");
}

static void put_partitions(struct chaos *chaos, struct printbuf *conf)
{
	struct stack *stack = chaos->stand.stack;

	buf_putf(conf, "redis { url = \"unix://%s unix://%s\" partitions = %d }\n",
		 stack_path(stack, "redis.sock"), second_redis(chaos), PARTITIONS_MAX);
}

/* Users are divided. */
static bool has_partitions(const struct chaos *chaos)
{
	return chaos->stand.layout == LAYOUT_PARTITIONS || chaos->stand.layout == LAYOUT_CLUSTER;
}

static void divide(struct chaos *chaos)
{
	struct stand *stand = &chaos->stand;

	if (stand->layout == LAYOUT_SENTINEL)
		stand->stack->servers = SENTINEL_SERVERS;
	if (!has_partitions(chaos))
		return;
	stand->stack->servers = SERVERS;
	stand->stack->partitions = PARTITIONS_MAX;
	for (int i = 0; i < PARTITIONS_MAX; i++)
		stand->owner[i] = i % SERVERS;
}

static void write_conf(struct chaos *chaos)
{
	struct printbuf *conf = buf_new();

	buf_putf(conf,
		 "presence { online_ttl = %d heartbeat = %d stream_ttl = %d grace = %d sweep = %d "
		 "max_sessions = %d }\n"
		 "stream { drain = 1 max_streams_per_user = %d queue_limit = 16384 "
		 "max_lifetime = %d }\n",
		 ONLINE_TTL / 1000, HEARTBEAT / 1000, STREAM_TTL / 1000, GRACE / 1000, SWEEP / 1000,
		 SESSIONS_MAX, STREAMS_MAX, LIFETIME / 1000);
	buf_puts(conf, "auth { leeway = 30 }\n"
		       "api { children = 3 }\n"
		       "log { level = info }\n");
	buf_putf(conf, "redis { timeout_ms = %d }\n", REDIS_TIMEOUT);
	if (chaos->stand.layout == LAYOUT_PARTITIONS)
		put_partitions(chaos, conf);
	else if (chaos->stand.layout == LAYOUT_CLUSTER)
		shards_put_conf(chaos, conf);
	else if (chaos->stand.layout == LAYOUT_SENTINEL)
		sentinels_put_conf(chaos, conf);
	directory_put_conf(chaos, conf);
	service_put_conf(chaos, conf);
	stack_write_conf(chaos->stand.stack, conf->buf);
	printbuf_free(conf);
}

/* --- hosts: their clock and their way to Redis ------------------------------------------------------------------------ */

static const char *faketime_library(void)
{
	static const char *const paths[] = {
		"/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
		"/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
	};
	const char *sanitizers = getenv("SANITIZE");

	if (sanitizers != NULL && *sanitizers != '\0')
		return NULL; /* they want to be loaded first themselves */
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		if (access(paths[i], R_OK) == 0)
			return paths[i];
	}
	return NULL;
}

void stand_set_clock(struct chaos *chaos, int seconds)
{
	char text[16];

	snprintf(text, sizeof text, "%+d\n", seconds);
	stack_write(chaos->stand.stack, "clock.new", text);
	rename(stack_path(chaos->stand.stack, "clock.new"),
	       stack_path(chaos->stand.stack, "clock"));
}

static const char *way_to_redis(struct chaos *chaos, int host)
{
	return stack_path(chaos->stand.stack, host == 0 ? "way0.sock" : "way1.sock");
}

/* For the programs that are started until leave_host(). Redis' clock is another host's. */
static void enter_host(struct chaos *chaos, int host)
{
	char url[256];
	int len = snprintf(url, sizeof url, "unix://%s", way_to_redis(chaos, host));

	if (chaos->stand.layout == LAYOUT_PARTITIONS)
		snprintf(url + len, sizeof url - (size_t)len, " unix://%s", second_redis(chaos));
	if (chaos->stand.layout == LAYOUT_CLUSTER)
		snprintf(url, sizeof url, "%s", shards_url(chaos));
	else if (chaos->stand.layout == LAYOUT_SENTINEL)
		snprintf(url, sizeof url, "%s", sentinels_url(chaos));
	setenv("PRESENCE_REDIS_URL", url, 1);
	if (!chaos->stand.has_clock)
		return;
	setenv("LD_PRELOAD", faketime_library(), 1);
	setenv("FAKETIME_TIMESTAMP_FILE", stack_path(chaos->stand.stack, "clock"), 1);
	setenv("FAKETIME_CACHE_DURATION", "1", 1);
	setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1", 1);
	setenv("FAKETIME_FORCE_MONOTONIC_FIX", "0", 1); /* it spoils timed waits */
}

static void leave_host(void)
{
	unsetenv("PRESENCE_REDIS_URL");
	unsetenv("LD_PRELOAD");
}

static void open_ways(struct chaos *chaos)
{
	struct stack *stack = chaos->stand.stack;
	const char *redis = stack_path(stack, "redis.sock");
	const char *here[ROUTES] = {way_to_redis(chaos, 0), way_to_redis(chaos, 1),
				    stack_path(stack, ".s.PGSQL.5432")};
	const char *targets[ROUTES] = {redis, redis, stack_path(stack, "pg/.s.PGSQL.5432")};

	network_start(chaos, here, targets);
}

/* --- Redis ----------------------------------------------------------------------------------- */

static int servers_of(const struct chaos *chaos)
{
	return (int)chaos->stand.stack->servers;
}

bool stand_redis_answers(const struct chaos *chaos)
{
	for (int i = 0; i < servers_of(chaos); i++) {
		if (redis_pid_at(chaos->stand.stack, i) == 0)
			return false;
	}
	return chaos->stand.redis_stopped < 0 && !chaos->stand.is_unsettled;
}

/* What is published is heard again once all servers are there. */
static void listen_again(struct chaos *chaos)
{
	if (chaos->tap == NULL && stand_redis_answers(chaos))
		tap_open(chaos);
}

void stand_redis_kill(struct chaos *chaos, int server)
{
	tap_close(chaos);
	redis_kill_at(chaos->stand.stack, server);
	if (chaos->stand.redis_stopped == server)
		chaos->stand.redis_stopped = -1;
}

void stand_redis_start(struct chaos *chaos, int server, bool with_data)
{
	static const char *const dirs[REDIS_MAX] = {"appendonlydir", "appendonlydir1",
						    "appendonlydir2"};
	const char *argv[] = {"rm", "-rf", stack_path(chaos->stand.stack, dirs[server]), NULL};
	bool is_node = chaos->stand.layout == LAYOUT_CLUSTER;
	char args[512];
	int len;

	if (!with_data)
		ck_assert_int_eq(run(chaos->stand.stack, NULL, NULL, argv), 0);
	len = snprintf(args, sizeof args, KEEPS_DATA " --appenddirname %s", dirs[server]);
	if (is_node)
		shards_put_args(chaos, server, args + len, sizeof args - (size_t)len);
	else if (chaos->stand.layout == LAYOUT_SENTINEL)
		sentinels_put_args(chaos, server, args + len, sizeof args - (size_t)len);
	redis_start_at(chaos->stand.stack, server, args);
	freeReplyObject(redis_cmd_at(chaos->stand.stack, server,
				     "ACL SETUSER chaos on >chaos ~* &* +@all"));
	freeReplyObject(redis_cmd_at(chaos->stand.stack, server, "AUTH chaos chaos"));
	if (is_node && server > 0 && chaos->stand.streamds == 0)
		shards_join(chaos);
	else if (is_node && chaos->stand.streamds > 0)
		shards_wait(chaos, server);
	listen_again(chaos);
	if (chaos->stand.streamds > 0)
		blocks_come_back(chaos);
	if (!with_data)
		model_data_lost(chaos, server);
	/* The first node takes nothing before it has met the other. */
	if (server == (is_node && chaos->stand.streamds == 0 ? 1 : 0) &&
	    chaos->stand.layout != LAYOUT_SENTINEL)
		stand_write_neighbours(chaos);
}

void stand_redis_connect(struct chaos *chaos, int server)
{
	struct stack *stack = chaos->stand.stack;
	redisContext **control = server == 0 ? &stack->control : &stack->more_control[server - 1];

	redisFree(*control);
	*control = NULL;
	freeReplyObject(redis_cmd_at(stack, server, "AUTH chaos chaos"));
}

void stand_redis_stop(struct chaos *chaos, int server)
{
	signal_and_wait_stopped(redis_pid_at(chaos->stand.stack, server));
	chaos->stand.redis_stopped = server;
}

void stand_redis_continue(struct chaos *chaos, int server)
{
	if (chaos->stand.redis_stopped != server)
		return; /* it was killed meanwhile */
	kill(redis_pid_at(chaos->stand.stack, server), SIGCONT);
	chaos->stand.redis_stopped = -1;
	listen_again(chaos);
}

int stand_server_for(const struct chaos *chaos, const struct step *step)
{
	if (chaos->stand.layout == LAYOUT_SENTINEL)
		return stand_server_at(chaos, 0);
	return step->at % servers_of(chaos);
}

unsigned stand_partition_of(const struct chaos *chaos, unsigned user)
{
	return layout_partition(chaos->stand.stack->partitions, chaos->users[user].text);
}

int stand_server_of(const struct chaos *chaos, unsigned user)
{
	return stand_server_at(chaos, stand_partition_of(chaos, user));
}

bool stand_may_hold(const struct chaos *chaos, int server, unsigned user)
{
	unsigned partition = stand_partition_of(chaos, user);

	return stand_server_at(chaos, partition) == server ||
	       (chaos->stand.moving != 0 && chaos->stand.moving == partition);
}

int stand_server_at(const struct chaos *chaos, unsigned partition)
{
	return chaos->stand.owner[partition];
}

void stand_publish(struct chaos *chaos, const char *kind, unsigned user, const char *text)
{
	unsigned count = chaos->stand.stack->partitions;
	char *prefix = layout_prefix(count, layout_tag(count, stand_partition_of(chaos, user)), "");

	freeReplyObject(redis_cmd_at(chaos->stand.stack, stand_server_of(chaos, user),
				     "%s %s%s%u %s",
				     chaos->stand.layout == LAYOUT_CLUSTER ? "SPUBLISH" : "PUBLISH",
				     prefix, kind, user, text));
	free(prefix);
}

/* Keys in which a sweep of ours would find something to do. */
static const char neighbours[] =
	"local p = ARGV[2] .. 'other:' "
	"if ARGV[1] == 'write' then "
	"  redis.call('SET', p .. 'user:online:1', '{}') "
	"  redis.call('SADD', p .. 'online_users', '1') "
	"  redis.call('ZADD', p .. 'user:sessions:1', 1, 't:a') "
	"  redis.call('ZADD', p .. 'presence:deadlines', 1, '1') "
	"  redis.call('SET', p .. 'presence:version:1', '7') "
	"end "
	"return table.concat({redis.call('GET', p .. 'user:online:1') or '-', "
	"  redis.call('SCARD', p .. 'online_users'), "
	"  redis.call('ZSCORE', p .. 'user:sessions:1', 't:a') or '-', "
	"  redis.call('ZSCORE', p .. 'presence:deadlines', '1') or '-', "
	"  redis.call('GET', p .. 'presence:version:1') or '-', #redis.call('KEYS', p .. '*')}, ' "
	"')";

/* In a cluster they are in partition 0's slot. */
static const char *neighbours_tag(const struct chaos *chaos)
{
	static char tag[16];

	tag[0] = '\0';
	if (chaos->stand.layout == LAYOUT_CLUSTER)
		snprintf(tag, sizeof tag, "{%u}", layout_tag(PARTITIONS_MAX, 0));
	return tag;
}

void stand_write_neighbours(struct chaos *chaos)
{
	freeReplyObject(redis_cmd_at(chaos->stand.stack, stand_server_at(chaos, 0),
				     "EVAL %s 0 write %s", neighbours, neighbours_tag(chaos)));
}

bool stand_neighbours_are_well(struct chaos *chaos)
{
	redisReply *reply = redis_cmd_at(chaos->stand.stack, stand_server_at(chaos, 0),
					 "EVAL %s 0 look %s", neighbours, neighbours_tag(chaos));
	bool well = reply->type == REDIS_REPLY_STRING && strcmp(reply->str, "{} 1 1 1 7 5") == 0;

	freeReplyObject(reply);
	return well;
}

/* --- streamd --------------------------------------------------------------------------------- */

static int listen_shared(struct chaos *chaos)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof name.sun_path, "%s", streamd_socket(chaos->stand.stack, 0));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
	ck_assert_int_eq(listen(fd, 512), 0);
	return fd;
}

/* As sd_listen_fds(3) has it. */
static _Noreturn void become_streamd(struct stack *stack, int shared_fd, const char *log)
{
	const char *argv[] = {program("presence-streamd"), "-c", stack_path(stack, "presence.conf"),
			      NULL};
	char pid[16];

	setpgid(0, stack->group);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_DFL);
	shared_fd = fcntl(shared_fd, F_DUPFD, 10);
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), 1);
	dup2(1, 2);
	dup2(shared_fd, 3);
	close_range(4, ~0U, 0);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_PID", pid, 1);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

static void start_shared(struct chaos *chaos, int index)
{
	struct stack *stack = chaos->stand.stack;
	const char *log = stack_path(stack, index == 0 ? "streamd0.log" : "streamd1.log");
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		become_streamd(stack, chaos->stand.shared_fd, log);
	setpgid(pid, stack->group);
	stack->streamd[index] = pid;
}

void stand_streamd_start(struct chaos *chaos, int index)
{
	enter_host(chaos, chaos->stand.layout == LAYOUT_HOSTS ? index : 0);
	if (chaos->stand.layout == LAYOUT_SHARED)
		start_shared(chaos, index);
	else
		streamd_start(chaos->stand.stack, index);
	leave_host();
}

/* --- pushd ----------------------------------------------------------------------------------- */

void stand_pushd_start(struct chaos *chaos)
{
	struct stack *stack = chaos->stand.stack;
	const char *argv[] = {program("presence-pushd"), "-c", stack_path(stack, "presence.conf"),
			      NULL};

	enter_host(chaos, 0);
	chaos->stand.pushd = process_start(stack, "pushd", argv, NULL, 0);
	leave_host();
}

/* --- web servers ----------------------------------------------------------------------------- */

static const char *config_of(struct chaos *chaos, int host)
{
	char name[32];

	snprintf(name, sizeof name, "%s.conf", chaos->stand.hosts[host].log);
	return stack_path(chaos->stand.stack, name);
}

void stand_web_start(struct chaos *chaos, int index)
{
	struct host *host = &chaos->stand.hosts[index];
	const char *argv[] = {"lighttpd", "-D", "-f", config_of(chaos, index), NULL};

	enter_host(chaos, index);
	host->lighttpd = process_start(chaos->stand.stack, host->log, argv, NULL, 0);
	leave_host();
	WAIT_UNTIL(port_answers(host->port) || !process_lives(host->lighttpd), 10000);
	ck_assert_msg(process_lives(host->lighttpd), "lighttpd did not start");
}

pid_t stand_api_parent(struct chaos *chaos, int host)
{
	pid_t parent = 0;

	if (chaos->stand.hosts[host].lighttpd == 0 ||
	    children_of(chaos->stand.hosts[host].lighttpd, &parent, 1) != 1)
		return 0;
	return parent;
}

void stand_web_kill(struct chaos *chaos, int index, bool with_workers)
{
	struct host *host = &chaos->stand.hosts[index];
	pid_t parent = stand_api_parent(chaos, index), workers[16];
	int count = parent != 0 ? children_of(parent, workers, 16) : 0;

	process_end(&host->lighttpd, SIGKILL, "lighttpd", 5000);
	if (!with_workers || parent == 0)
		return;
	kill(parent, SIGKILL);
	for (int i = 0; i < count; i++)
		kill(workers[i], SIGKILL);
}

bool stand_host_of(const struct chaos *chaos, unsigned number, int *host)
{
	const struct stand *stand = &chaos->stand;

	for (int i = 0; i < stand->host_count; i++) {
		*host = (int)((number + (unsigned)i) % (unsigned)stand->host_count);
		if (stand->hosts[*host].lighttpd != 0)
			return true;
	}
	return false;
}

/* A text with each `from` replaced. */
static char *replaced(const char *text, const char *from, const char *to)
{
	struct printbuf *out = buf_new();

	for (const char *at; (at = strstr(text, from)) != NULL; text = at + strlen(from)) {
		buf_put(out, text, (size_t)(at - text));
		buf_puts(out, to);
	}
	buf_puts(out, text);
	return buf_take(out, NULL);
}

/* A second web server, with its own workers and its own streamd. */
static void add_host(struct chaos *chaos)
{
	struct stack *stack = chaos->stand.stack;
	char *text = stack_file(stack, "lighttpd.conf"), from[32], to[32];
	struct host *host = &chaos->stand.hosts[1];

	*host = (struct host){.port = free_port(), .log = "lighttpd1"};
	snprintf(from, sizeof from, "server.port = %d", stack->port);
	snprintf(to, sizeof to, "server.port = %d", host->port);
	text = replaced(text, from, to);
	text = replaced(text, "/api.sock", "/api1.sock");
	text = replaced(text, "/stream0.sock", "/stream1.sock");
	stack_write(stack, "lighttpd1.conf", text);
	free(text);
	chaos->stand.host_count = 2;
	stand_web_start(chaos, 1);
}

/* A second streamd for the only web server. */
static void add_backend(struct chaos *chaos)
{
	char *entry;

	ck_assert(asprintf(&entry,
			   "\"presence-streamd-1\" => ( \"socket\" => \"%s\", "
			   "\"check-local\" => \"disable\", \"tcp-fin-propagate\" => \"enable\", "
			   "\"disable-time\" => 0 ),\n\"presence-streamd\" => (",
			   streamd_socket(chaos->stand.stack, 1)) > 0);
	lighttpd_change(chaos->stand.stack, "\"presence-streamd\" => (", entry);
	free(entry);
}

/* --- all of it ------------------------------------------------------------------------------- */

void stand_start(struct chaos *chaos)
{
	struct stand *stand = &chaos->stand;

	stand->layout = chaos->plan->layout;
	stand->shared_fd = stand->redis_stopped = -1;
	stand->stack = stack_new("");
	service_start(chaos);
	divide(chaos);
	write_conf(chaos);
	stand->has_clock = faketime_library() != NULL;
	stand_set_clock(chaos, 0);
	directory_start(chaos);
	open_ways(chaos);
	for (int i = 0; i < servers_of(chaos); i++)
		stand_redis_start(chaos, i, true);
	if (stand->layout == LAYOUT_SENTINEL) {
		sentinels_begin(chaos);
		stand_write_neighbours(chaos);
	}
	if (stand->layout == LAYOUT_SHARED)
		stand->shared_fd = listen_shared(chaos);
	stand->streamds = stand->layout == LAYOUT_ONE ? 1 : 2;
	for (int i = 0; i < stand->streamds; i++)
		stand_streamd_start(chaos, i);
	enter_host(chaos, 0);
	lighttpd_start(stand->stack);
	if (stand->layout == LAYOUT_TWO || stand->layout == LAYOUT_SENTINEL ||
	    has_partitions(chaos))
		add_backend(chaos);
	leave_host();
	stand->hosts[0] = (struct host){
		.port = stand->stack->port, .lighttpd = stand->stack->lighttpd, .log = "lighttpd"};
	stand->stack->lighttpd = 0;
	stand->host_count = 1;
	if (stand->layout == LAYOUT_HOSTS)
		add_host(chaos);
	if (stand->layout != LAYOUT_CLUSTER)
		stand_pushd_start(chaos);
}

static void go_on(pid_t pid)
{
	if (pid != 0)
		kill(pid, SIGCONT);
}

void stand_continue(struct chaos *chaos)
{
	struct stand *stand = &chaos->stand;

	for (int i = 0; i < servers_of(chaos); i++)
		go_on(redis_pid_at(stand->stack, i));
	for (int i = 0; i < stand->streamds; i++)
		go_on(stand->stack->streamd[i]);
	for (int i = 0; i < stand->host_count; i++)
		go_on(stand->hosts[i].lighttpd);
	if (stand->stack->postgres != 0)
		postgres_signal(stand->stack, SIGCONT);
	for (enum route route = 0; route < ROUTES; route++)
		network_mend(chaos, route);
}

void stand_stop(struct chaos *chaos)
{
	struct stack *stack = chaos->stand.stack;

	tap_close(chaos);
	stand_continue(chaos);
	for (int i = 0; i < chaos->stand.streamds; i++) {
		int status = stack->streamd[i] != 0 ? streamd_end(stack, i, SIGTERM) : 0;

		ck_assert_msg(status == 0, "presence-streamd ended with %d", status);
	}
	for (int i = 0; i < chaos->stand.host_count; i++) {
		if (chaos->stand.hosts[i].lighttpd != 0)
			process_end(&chaos->stand.hosts[i].lighttpd, SIGTERM, "lighttpd", 15000);
	}
	if (chaos->stand.pushd != 0)
		ck_assert_int_eq(process_end(&chaos->stand.pushd, SIGTERM, "presence-pushd", 15000),
				 0);
	for (int i = 0; i < servers_of(chaos); i++) {
		if (redis_pid_at(stack, i) != 0)
			redis_kill_at(stack, i);
	}
	directory_stop(chaos);
	network_stop(chaos);
	/* Workers whose web server was killed. */
	guardian_kill(stack);
	if (chaos->stand.shared_fd >= 0)
		close(chaos->stand.shared_fd);
	stack_stop(stack);
}
