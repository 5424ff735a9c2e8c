#include "api/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/password.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/times.h"
#include "store/connection.h"

#define REDIS_LOG_EVERY 1000 /* ms */
#define METRICS_TOKEN_MIN 16 /* characters */
/* RFC 6750 section 2.1. */
#define TOKEN_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

/* What a scraper has to show, without the end of its line. True, with nothing, where none is configured. */
static bool read_metrics_token(struct service *service, char *err, size_t errsize)
{
	const char *path = service->config->metrics.token_file;
	struct secret_file *file = &service->metrics_token;
	size_t len;

	if (path[0] == '\0')
		return true;
	if (!secret_file_read(file, path, err, errsize) ||
	    !secret_file_is_private(file, path, err, errsize))
		return false;
	len = strcspn((const char *)file->data, "\r\n");
	if (len < METRICS_TOKEN_MIN || strlen((const char *)file->data + len) > 2 ||
	    strspn((const char *)file->data, TOKEN_CHARS) != len) {
		snprintf(err, errsize,
			 "%s: not one line of at least %d letters, digits and - . _ ~ + / =", path,
			 METRICS_TOKEN_MIN);
		return false;
	}
	file->data[len] = '\0';
	file->len = len;
	return true;
}

struct service *service_open(const struct config *config, char *err, size_t errsize)
{
	struct service *service = xcalloc(1, sizeof *service);
	bool has_token;

	service->config = config;
	service->redis_logged_ms = -REDIS_LOG_EVERY;
	if (!password_set_dummy(config->directory.dummy_hash))
		snprintf(err, errsize,
			 "directory.dummy_hash: not a hash of a method that accounts may have");
	else if (connection_check_config(config, err, errsize))
		service->keys = token_keys_open(config, err, errsize);
	if (service->keys != NULL)
		service->directory = directory_open(config, 1, err, errsize);
	if (service->directory != NULL && config->push.key_file[0] != '\0')
		service->vapid =
			vapid_open(config->push.key_file, config->push.subject, err, errsize);
	has_token = service->directory != NULL && read_metrics_token(service, err, errsize);
	service->nodes = nodes_new(config);
	if (service->directory == NULL || !has_token ||
	    (config->push.key_file[0] != '\0' && service->vapid == NULL) ||
	    !nodes_check(service->nodes, err, errsize)) {
		nodes_free(service->nodes);
		secret_file_clear(&service->metrics_token);
		vapid_free(service->vapid);
		directory_close(service->directory);
		token_keys_free(service->keys);
		free(service);
		return NULL;
	}
	service->partitions = partitions_new(config);
	service->epochs = epochs_new(config);
	service->body = buf_new();
	service->answer = buf_new();
	service->fields = buf_new();
	service->out = buf_new();
	return service;
}

void service_share(struct service *service, struct epochs *epochs)
{
	epochs_free(service->epochs);
	service->epochs = epochs;
}

void service_count(struct service *service, const struct route *routes, size_t count)
{
	service->tally = tally_new(routes, count);
}

static void tell(struct service *service, bool is_last)
{
	const struct store *first = partitions_at(service->partitions, 0);
	redisReply *reply = NULL;
	bool ok;

	nodes_begin(service->nodes);
	tally_put(service->tally, nodes_to(service->nodes, first), first, times_mono_ms(), is_last);
	ok = nodes_run(service->nodes, 1, &reply);
	tally_read(service->tally, ok ? reply : NULL);
	if (ok)
		blocking_free_replies(&reply, 1);
}

/* One that has lost Redis does not wait for it here: a call that needs it finds it again. */
static bool may_tell(const struct service *service)
{
	const struct store *first = partitions_at(service->partitions, 0);

	return nodes_error(service->nodes)[0] == '\0' ||
	       blocking_fd(nodes_of(service->nodes, first)) >= 0;
}

int service_idle_ms(const struct service *service)
{
	if (service->tally == NULL)
		return -1;
	return may_tell(service) ? tally_wait_ms(service->tally, times_mono_ms()) : TALLY_ALIVE_MS;
}

void service_idle(struct service *service)
{
	if (may_tell(service) && tally_is_due(service->tally, times_mono_ms()))
		tell(service, false);
}

void service_free(struct service *service)
{
	if (service->tally != NULL && may_tell(service)) {
		tell(service, true);
		/* That was what had no answer before, if anything had none. */
		if (tally_has_news(service->tally) && may_tell(service))
			tell(service, true);
	}
	tally_free(service->tally);
	secret_file_clear(&service->metrics_token);
	printbuf_free(service->body);
	printbuf_free(service->answer);
	printbuf_free(service->fields);
	printbuf_free(service->out);
	nodes_free(service->nodes);
	partitions_free(service->partitions);
	epochs_free(service->epochs);
	vapid_free(service->vapid);
	directory_close(service->directory);
	token_keys_free(service->keys);
	free(service);
}

void service_log_redis_error(struct service *service, const char *why)
{
	int64_t now = times_mono_ms();

	if (now - service->redis_logged_ms < REDIS_LOG_EVERY)
		return;
	service->redis_logged_ms = now;
	log_error("Redis: %s", why);
}

struct known_partition *service_known(struct service *service, const struct store *store)
{
	return &service->epochs->partitions[store_partition(store)];
}

/*
 * Between a wipe and the first sweep after it nothing in Redis tells that it was
 * wiped; but a worker has seen an epoch before. Not for ever: where no
 * presence-streamd runs any more, nobody makes another.
 */
bool service_has_lost_epoch(struct service *service, const struct store *store, bool is_there)
{
	struct known_partition *known = service_known(service, store);
	int64_t now = times_mono_ms(), lost;

	if (is_there) {
		known->has_epoch = true;
		known->epoch_lost_ms = 0;
		return false;
	}
	if (!known->has_epoch)
		return false;
	lost = known->epoch_lost_ms;
	if (lost == 0)
		known->epoch_lost_ms = lost = now;
	known->has_epoch = now - lost < store_recovering_ms(service->config);
	return known->has_epoch;
}
