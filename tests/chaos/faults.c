/* What goes wrong. A row: its name, how often, variants, how long, what it does to streams, how. */
#include "chaos.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "integration/process.h"

static struct stack *stack_of(struct chaos *chaos)
{
	return chaos->stand.stack;
}

static bool has_sentinels(const struct chaos *chaos)
{
	return chaos->stand.layout == LAYOUT_SENTINEL;
}

/* Whether Redis took it. */
static bool tell_server(struct chaos *chaos, int server, const char *command)
{
	redisReply *reply = redis_cmd_at(stack_of(chaos), server, command);
	bool ok = reply->type != REDIS_REPLY_ERROR;

	freeReplyObject(reply);
	return ok;
}

/* Behind Sentinels all of them: any may be the primary when it is over. */
static bool tell_redis(struct chaos *chaos, const struct step *step, const char *command)
{
	bool ok = true;

	if (!has_sentinels(chaos))
		return tell_server(chaos, stand_server_for(chaos, step), command);
	for (int i = 0; i < SENTINEL_SERVERS; i++)
		ok = tell_server(chaos, i, command) && ok;
	return ok;
}

/* --- streamd --------------------------------------------------------------------------------- */

static int streamd_of(const struct chaos *chaos, const struct step *step)
{
	return (int)step->arg % chaos->stand.streamds;
}

static bool kill_streamd(struct chaos *chaos, const struct step *step)
{
	int index = streamd_of(chaos, step);

	if (stack_of(chaos)->streamd[index] == 0 || kill(stack_of(chaos)->streamd[index], 0) != 0)
		return false;
	streamd_end(stack_of(chaos), index, SIGKILL);
	model_streamd_died(chaos);
	return true;
}

static void restart_streamd(struct chaos *chaos, const struct step *step)
{
	stand_streamd_start(chaos, streamd_of(chaos, step));
}

/* A deploy: it ends by itself, spread over `drain`. */
static bool term_streamd(struct chaos *chaos, const struct step *step)
{
	int index = streamd_of(chaos, step);

	if (stack_of(chaos)->streamd[index] == 0)
		return false;
	kill(stack_of(chaos)->streamd[index], SIGTERM);
	model_streamd_died(chaos);
	return true;
}

static void replace_streamd(struct chaos *chaos, const struct step *step)
{
	int index = streamd_of(chaos, step), status;

	kill(stack_of(chaos)->streamd[index], SIGCONT); /* it may have been stopped */
	status = streamd_end(stack_of(chaos), index, 0);
	model_streamd_died(chaos);
	ck_assert_msg(status == 0, "presence-streamd ended with %d after SIGTERM", status);
	stand_streamd_start(chaos, index);
}

/* --- pushd ----------------------------------------------------------------------------------- */

static bool kill_pushd(struct chaos *chaos, const struct step *step)
{
	(void)step;
	if (chaos->stand.pushd == 0)
		return false;
	process_end(&chaos->stand.pushd, SIGKILL, "presence-pushd", 5000);
	return true;
}

static void restart_pushd(struct chaos *chaos, const struct step *step)
{
	(void)step;
	stand_pushd_start(chaos);
}

/* --- the API's workers and the web server ---------------------------------------------------- */

static int host_of(const struct chaos *chaos, const struct step *step)
{
	return (int)step->arg % chaos->stand.host_count;
}

static bool kill_worker(struct chaos *chaos, const struct step *step)
{
	pid_t parent = stand_api_parent(chaos, host_of(chaos, step)), workers[16];
	int count = parent != 0 ? children_of(parent, workers, 16) : 0;

	if (count == 0)
		return false;
	kill(workers[step->arg % (unsigned)count], SIGKILL);
	return true;
}

static bool kill_parent(struct chaos *chaos, const struct step *step)
{
	pid_t parent = stand_api_parent(chaos, host_of(chaos, step));

	if (parent == 0)
		return false;
	kill(parent, step->arg < 2 ? SIGKILL : SIGSEGV);
	return true;
}

static bool kill_web(struct chaos *chaos, const struct step *step)
{
	if (chaos->stand.hosts[host_of(chaos, step)].lighttpd == 0)
		return false;
	stand_web_kill(chaos, host_of(chaos, step), false);
	return true;
}

static void restart_web(struct chaos *chaos, const struct step *step)
{
	stand_web_start(chaos, host_of(chaos, step));
}

/* The administrator's restart: it ends streams as soon as it may. */
static bool term_web(struct chaos *chaos, const struct step *step)
{
	struct host *host = &chaos->stand.hosts[host_of(chaos, step)];

	if (host->lighttpd == 0)
		return false;
	kill(host->lighttpd, SIGCONT); /* it may have been stopped */
	process_end(&host->lighttpd, SIGTERM, "lighttpd", 15000);
	return true;
}

/* All of a machine at once; where there is one only, its site is away meanwhile. */
static bool kill_host(struct chaos *chaos, const struct step *step)
{
	int index = host_of(chaos, step), streamd = index % chaos->stand.streamds;

	if (chaos->stand.hosts[index].lighttpd == 0 || stack_of(chaos)->streamd[streamd] == 0)
		return false;
	stand_web_kill(chaos, index, true);
	streamd_end(stack_of(chaos), streamd, SIGKILL);
	model_streamd_died(chaos);
	return true;
}

static void restart_host(struct chaos *chaos, const struct step *step)
{
	stand_streamd_start(chaos, host_of(chaos, step) % chaos->stand.streamds);
	stand_web_start(chaos, host_of(chaos, step));
}

/* --- Redis ----------------------------------------------------------------------------------- */

static bool kill_redis(struct chaos *chaos, const struct step *step)
{
	int server = stand_server_for(chaos, step);

	if (redis_pid_at(stack_of(chaos), server) == 0 ||
	    (has_sentinels(chaos) && !stand_redis_answers(chaos)))
		return false;
	if (has_sentinels(chaos))
		sentinels_strike(chaos, server);
	stand_redis_kill(chaos, server);
	return true;
}

/* The server that the fault's begin was done to; behind Sentinels another one is the primary by now. */
static int struck_by(const struct chaos *chaos, const struct step *step)
{
	return has_sentinels(chaos) ? chaos->stand.struck : stand_server_for(chaos, step);
}

static void restart_redis(struct chaos *chaos, const struct step *step)
{
	stand_redis_start(chaos, struck_by(chaos, step), true);
}

/* A replica would put it back, or lose it too. */
static bool lose_redis(struct chaos *chaos, const struct step *step)
{
	return !has_sentinels(chaos) && kill_redis(chaos, step);
}

static void restart_redis_empty(struct chaos *chaos, const struct step *step)
{
	stand_redis_start(chaos, stand_server_for(chaos, step), false);
}

static bool stop_redis(struct chaos *chaos, const struct step *step)
{
	if (!stand_redis_answers(chaos))
		return false;
	if (has_sentinels(chaos))
		sentinels_strike(chaos, stand_server_for(chaos, step));
	stand_redis_stop(chaos, stand_server_for(chaos, step));
	return true;
}

static void continue_redis(struct chaos *chaos, const struct step *step)
{
	stand_redis_continue(chaos, struck_by(chaos, step));
}

static bool fail_over(struct chaos *chaos, const struct step *step)
{
	(void)step;
	return sentinels_fail_over(chaos);
}

/* The tap hears of it between what was told before and what is told after. */
static bool flushall(struct chaos *chaos, const struct step *step)
{
	int server = stand_server_for(chaos, step);
	char command[120];

	snprintf(command, sizeof command,
		 "EVAL redis.call('FLUSHALL')redis.call('PUBLISH','presence:broadcast','" WIPED
		 "') 0",
		 server);
	if (!tell_server(chaos, server, command))
		return false;
	tap_drain(chaos);
	if (server == stand_server_at(chaos, 0))
		stand_write_neighbours(chaos);
	return true;
}

/* Subscribers other than the tap; `what` is done to each. */
static void cut_subscribers(struct chaos *chaos, int server)
{
	redisReply *list = redis_cmd_at(stack_of(chaos), server, "CLIENT LIST TYPE pubsub");
	char *rest = list->str;

	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		long long id;

		if (strstr(line, " user=chaos ") == NULL && sscanf(line, "id=%lld", &id) == 1)
			freeReplyObject(
				redis_cmd_at(stack_of(chaos), server, "CLIENT KILL ID %lld", id));
	}
	freeReplyObject(list);
}

static bool cut_pubsub(struct chaos *chaos, const struct step *step)
{
	cut_subscribers(chaos, stand_server_for(chaos, step));
	return true;
}

/* A message larger than what Redis keeps for a subscriber: it drops those who wait for it. */
static bool overflow_pubsub(struct chaos *chaos, const struct step *step)
{
	enum { SIZE = 200000 };
	unsigned user = 1 + step->arg % chaos->user_count;
	int server = stand_server_of(chaos, user);
	char *noise = xmalloc(SIZE);

	memset(noise, 'n', SIZE);
	noise[SIZE - 1] = '\0';
	tell_server(chaos, server, "CONFIG SET client-output-buffer-limit \"pubsub 100000 0 0\"");
	stand_publish(chaos, "user:inbox:", user, noise);
	tell_server(chaos, server, "CONFIG SET client-output-buffer-limit \"pubsub 32mb 8mb 60\"");
	free(noise);
	return true;
}

static bool oom(struct chaos *chaos, const struct step *step)
{
	return tell_redis(chaos, step, "CONFIG SET maxmemory 1");
}

static void end_oom(struct chaos *chaos, const struct step *step)
{
	tell_redis(chaos, step, "CONFIG SET maxmemory 0");
}

static bool read_only(struct chaos *chaos, const struct step *step)
{
	/* Sentinels would make it the primary again. */
	return !has_sentinels(chaos) && tell_redis(chaos, step, "REPLICAOF 127.0.0.1 1");
}

static void end_read_only(struct chaos *chaos, const struct step *step)
{
	tell_redis(chaos, step, "REPLICAOF NO ONE");
}

static bool no_replicas(struct chaos *chaos, const struct step *step)
{
	return tell_redis(chaos, step,
			  has_sentinels(chaos) ? "CONFIG SET min-replicas-to-write 3"
					       : "CONFIG SET min-replicas-to-write 1");
}

static void end_no_replicas(struct chaos *chaos, const struct step *step)
{
	tell_redis(chaos, step,
		   has_sentinels(chaos) ? "CONFIG SET min-replicas-to-write 1"
					: "CONFIG SET min-replicas-to-write 0");
}

/* The programs lose a channel. */
static bool lose_channel(struct chaos *chaos, const struct step *step)
{
	static const char *const rights[] = {
		"&*user:inbox:* &*presence:*",
		"&*user:status:* &*presence:*",
		"&*user:*",
	};
	char command[120];

	snprintf(command, sizeof command, "ACL SETUSER default resetchannels %s",
		 rights[step->arg]);
	return tell_redis(chaos, step, command);
}

static void end_lose_channel(struct chaos *chaos, const struct step *step)
{
	tell_redis(chaos, step, "ACL SETUSER default allchannels");
}

static bool script_flush(struct chaos *chaos, const struct step *step)
{
	return tell_redis(chaos, step, "SCRIPT FLUSH");
}

/* Every other friend's tabs read nothing from now on. */
static void put_readers_to_sleep(struct chaos *chaos, unsigned user)
{
	for (unsigned i = 2; i <= chaos->user_count; i += 2) {
		for (int j = 0; friends_are(chaos, user, i) && j < DEVICES * TABS; j++) {
			struct tab *tab = &chaos->users[i].devices[j / TABS].tabs[j % TABS];

			if (tab->state == TAB_READY && !tab->asleep)
				tab_sleep(tab);
		}
	}
}

/* A foreign program publishes more than all buffers on the way to a reader hold. */
static bool flood(struct chaos *chaos, const struct step *step)
{
	enum { MESSAGES = 700, SIZE = 12000 };
	unsigned user = 1 + step->arg * 7 % chaos->user_count;
	char noise[SIZE], *text;

	put_readers_to_sleep(chaos, user);
	memset(noise, 'n', SIZE);
	noise[SIZE - 1] = '\0';
	ck_assert(asprintf(&text,
			   "{\"user_id\":%u,\"is_online\":false,\"status\":\"offline\","
			   "\"version\":0,\"noise\":\"%s\"}",
			   user, noise) > 0);
	for (int i = 0; i < MESSAGES; i++) {
		stand_publish(chaos, "user:status:", user, text);
		conn_turn(chaos, now_ms());
	}
	free(text);
	return true;
}

/* --- the hosts ------------------------------------------------------------------------------- */

/* With a file that cannot be read: what was stays. */
static bool hang_up(struct chaos *chaos, const struct step *step)
{
	char *conf = stack_file(stack_of(chaos), "presence.conf");

	if (step->arg == 1)
		stack_write(stack_of(chaos), "presence.conf", "presence { heartbeat = never }\n");
	for (int i = 0; i < chaos->stand.streamds; i++) {
		if (stack_of(chaos)->streamd[i] != 0)
			kill(stack_of(chaos)->streamd[i], SIGHUP);
	}
	for (int i = 0; i < chaos->stand.host_count; i++) {
		pid_t parent = stand_api_parent(chaos, i);

		if (parent != 0)
			kill(parent, SIGHUP);
	}
	for (int64_t end = now_ms() + 300; step->arg == 1 && now_ms() < end;)
		conn_turn(chaos, end);
	stack_write(stack_of(chaos), "presence.conf", conf);
	free(conf);
	return true;
}

/* --- the directory --------------------------------------------------------------------------- */

static bool lock_directory(struct chaos *chaos, const struct step *step)
{
	(void)step;
	return directory_lock(chaos);
}

static void unlock_directory(struct chaos *chaos, const struct step *step)
{
	(void)step;
	directory_unlock(chaos);
}

static bool hang_directory(struct chaos *chaos, const struct step *step)
{
	return directory_hang(chaos, (enum directory_hang)step->arg);
}

static void continue_directory(struct chaos *chaos, const struct step *step)
{
	directory_go_on(chaos, (enum directory_hang)step->arg);
}

/* --- the hosts' clock ------------------------------------------------------------------------ */

/* Within the leeway: nobody may notice. */
static bool jump_clock(struct chaos *chaos, const struct step *step)
{
	static const int seconds[] = {5, -5, 20, -20};

	if (!chaos->stand.has_clock)
		return false;
	stand_set_clock(chaos, seconds[step->arg]);
	return true;
}

static void end_jump_clock(struct chaos *chaos, const struct step *step)
{
	(void)step;
	stand_set_clock(chaos, 0);
}

/* --- processes that stand still: what a machine does that has too much to do ------------------ */

static bool stop_process(pid_t pid)
{
	return pid != 0 && kill(pid, SIGSTOP) == 0;
}

static bool stop_streamd(struct chaos *chaos, const struct step *step)
{
	return stop_process(stack_of(chaos)->streamd[streamd_of(chaos, step)]);
}

/* Streams that end for their lifetime meanwhile say so to nobody: they may be gone. */
static void doubt_old_streams(struct chaos *chaos, int host, int64_t until)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (int j = 0; j < DEVICES * TABS; j++) {
			struct tab *tab = &chaos->users[i].devices[j / TABS].tabs[j % TABS];

			if (tab->state == TAB_READY && !tab->asleep && tab->host == host &&
			    tab->opened + LIFETIME * 8 / 10 < until)
				tab_sleep(tab);
		}
	}
}

static bool stop_web(struct chaos *chaos, const struct step *step)
{
	int host = host_of(chaos, step);

	if (!stop_process(chaos->stand.hosts[host].lighttpd))
		return false;
	doubt_old_streams(chaos, host, now_ms() + step->lasts + patience(NOTICE));
	return true;
}

static bool stop_worker(struct chaos *chaos, const struct step *step)
{
	pid_t parent = stand_api_parent(chaos, host_of(chaos, step)), workers[16];
	int count = parent != 0 ? children_of(parent, workers, 16) : 0;

	if (count == 0 || chaos->stand.stopped_worker != 0)
		return false;
	chaos->stand.stopped_worker = workers[step->arg % (unsigned)count];
	return stop_process(chaos->stand.stopped_worker);
}

static void continue_streamd(struct chaos *chaos, const struct step *step)
{
	pid_t pid = stack_of(chaos)->streamd[streamd_of(chaos, step)];

	if (pid != 0)
		kill(pid, SIGCONT);
}

static void continue_web(struct chaos *chaos, const struct step *step)
{
	pid_t pid = chaos->stand.hosts[host_of(chaos, step)].lighttpd;

	if (pid != 0)
		kill(pid, SIGCONT);
}

static void continue_worker(struct chaos *chaos, const struct step *step)
{
	(void)step;
	kill(chaos->stand.stopped_worker, SIGCONT); /* it may have been killed */
	chaos->stand.stopped_worker = 0;
}

/* --- the network ----------------------------------------------------------------------------- */

static enum route route_of(const struct step *step)
{
	return (enum route)(step->arg % 2);
}

static bool cut_redis(struct chaos *chaos, const struct step *step)
{
	enum route route = route_of(step);

	/* There the programs go to the nodes themselves: instead a partition moves. */
	if (chaos->stand.layout == LAYOUT_CLUSTER)
		return shards_begin_move(chaos, step);
	if ((int)route >= chaos->stand.host_count || has_sentinels(chaos))
		return false;
	network_cut(chaos, route, step->arg / 2 % 2 == 0 ? CUT_LATE : CUT_DEAD,
		    (enum direction)(step->arg / 4));
	if (chaos->stand.host_count > 1) {
		chaos->stand.host_cut[route] = true;
		model_host_cut(chaos, (int)route);
	}
	return true;
}

static void mend_redis(struct chaos *chaos, const struct step *step)
{
	if (chaos->stand.layout == LAYOUT_CLUSTER) {
		shards_end_move(chaos);
		return;
	}
	network_mend(chaos, route_of(step));
	chaos->stand.host_cut[route_of(step)] = false;
}

#define GROUPS 4 /* of users, who lose the network together */

static bool is_in_group(const struct user *user, const struct step *step)
{
	return user->id % GROUPS == step->arg % GROUPS;
}

static bool clients_come_back(const struct step *step)
{
	return step->arg < GROUPS; /* with the addresses that they had */
}

static bool cut_clients(struct chaos *chaos, const struct step *step)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		struct user *user = &chaos->users[i];

		if (!is_in_group(user, step))
			continue;
		user->cuts++;
		for (int j = 0; j < DEVICES * TABS; j++)
			tab_vanish(&user->devices[j / TABS].tabs[j % TABS],
				   clients_come_back(step));
	}
	return true;
}

static void mend_clients(struct chaos *chaos, const struct step *step)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		struct user *user = &chaos->users[i];

		if (!is_in_group(user, step))
			continue;
		user->cuts--;
		for (int j = 0; j < DEVICES && clients_come_back(step); j++)
			model_device_back(&user->devices[j]);
	}
	conns_come_back(chaos, false);
}

/* --- the table ------------------------------------------------------------------------------- */

const struct fault faults[] = {
	{"kill-streamd", 8, 2, 100, 3000, CRASHES, kill_streamd, restart_streamd},
	{"term-streamd", 5, 2, 1500, 3000, 0, term_streamd, replace_streamd},
	{"kill-pushd", 4, 1, 0, 3000, 0, kill_pushd, restart_pushd},
	{"kill-worker", 5, 6, 0, 0, CRASHES, kill_worker, NULL},
	{"kill-parent", 4, 4, 0, 0, CRASHES, kill_parent, NULL},
	{"kill-web", 5, 2, 100, 2000, CRASHES, kill_web, restart_web},
	{"term-web", 4, 2, 100, 2000, CRASHES, term_web, restart_web},
	{"kill-host", 4, 2, 100, 3000, CRASHES, kill_host, restart_host},
	{"kill-redis", 6, 1, 100, 4000, GAP, kill_redis, restart_redis},
	{"lose-redis", 5, 1, 100, 4000, GAP | WIPES, lose_redis, restart_redis_empty},
	{"stop-redis", 10, 1, 300, 9000, 0, stop_redis, continue_redis},
	{"flushall", 5, 1, 0, 0, GAP | WIPES | NEEDS_REDIS, flushall, NULL},
	{"cut-pubsub", 5, 1, 0, 0, GAP | NEEDS_REDIS, cut_pubsub, NULL},
	{"overflow-pubsub", 4, 100, 0, 0, NEEDS_REDIS, overflow_pubsub, NULL},
	{"oom", 5, 1, 300, 4000, NEEDS_REDIS, oom, end_oom},
	{"read-only", 5, 1, 300, 4000, NEEDS_REDIS, read_only, end_read_only},
	{"no-replicas", 4, 1, 300, 4000, NEEDS_REDIS, no_replicas, end_no_replicas},
	{"lose-channel", 5, 3, 300, 4000, NEEDS_REDIS, lose_channel, end_lose_channel},
	{"script-flush", 4, 1, 0, 0, NEEDS_REDIS, script_flush, NULL},
	{"flood", 4, 100, 0, 0, NEEDS_REDIS, flood, NULL},
	{"hang-up", 4, 2, 0, 0, 0, hang_up, NULL},
	{"lock-directory", 5, 1, 300, 5000, 0, lock_directory, unlock_directory},
	{"hang-directory", 5, HANGS, 300, 5000, 0, hang_directory, continue_directory},
	{"stop-streamd", 5, 2, 100, 2500, 0, stop_streamd, continue_streamd},
	{"stop-web", 4, 2, 100, 2500, 0, stop_web, continue_web},
	{"stop-worker", 4, 6, 100, 2500, 0, stop_worker, continue_worker},
	{"cut-redis", 6, 4 * DIRECTIONS, 300, 8000, 0, cut_redis, mend_redis},
	{"fail-over", 8, 1, 0, 0, FAILS_OVER | NEEDS_REDIS, fail_over, NULL},
	{"cut-clients", 5, 2 * GROUPS, 300, 4000, 0, cut_clients, mend_clients},
	{"jump-clock", 5, 4, 1000, 4000, 0, jump_clock, end_jump_clock},
};
const size_t fault_count = sizeof faults / sizeof faults[0];

const struct fault *fault_find(const char *name)
{
	for (size_t i = 0; i < fault_count; i++) {
		if (strcmp(faults[i].name, name) == 0)
			return &faults[i];
	}
	return NULL;
}
