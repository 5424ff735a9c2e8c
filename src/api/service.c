#include "api/service.h"

#include <stdio.h>
#include <stdlib.h>

#include "auth/password.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/times.h"
#include "store/connection.h"

#define REDIS_LOG_EVERY 1000 /* ms */

struct service *service_open(const struct config *config, char *err, size_t errsize)
{
	struct service *service = xcalloc(1, sizeof *service);

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
	service->nodes = nodes_new(config);
	if (service->directory == NULL ||
	    (config->push.key_file[0] != '\0' && service->vapid == NULL) ||
	    !nodes_check(service->nodes, err, errsize)) {
		nodes_free(service->nodes);
		vapid_free(service->vapid);
		directory_close(service->directory);
		token_keys_free(service->keys);
		free(service);
		return NULL;
	}
	service->partitions = partitions_new(config);
	service->known = xcalloc((size_t)config->redis.partitions, sizeof *service->known);
	service->body = buf_new();
	service->answer = buf_new();
	service->fields = buf_new();
	service->out = buf_new();
	return service;
}

void service_free(struct service *service)
{
	printbuf_free(service->body);
	printbuf_free(service->answer);
	printbuf_free(service->fields);
	printbuf_free(service->out);
	nodes_free(service->nodes);
	partitions_free(service->partitions);
	free(service->known);
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
	return &service->known[store_partition(store)];
}

/*
 * Between a wipe and the first sweep after it nothing in Redis tells that it was
 * wiped; but this worker has seen an epoch before. Not for ever: where no
 * presence-streamd runs any more, nobody makes another.
 */
bool service_has_lost_epoch(struct service *service, const struct store *store, bool is_there)
{
	struct known_partition *known = service_known(service, store);
	int64_t now = times_mono_ms();

	if (is_there) {
		known->has_epoch = true;
		known->epoch_lost_ms = 0;
		return false;
	}
	if (!known->has_epoch)
		return false;
	if (known->epoch_lost_ms == 0)
		known->epoch_lost_ms = now;
	known->has_epoch = now - known->epoch_lost_ms < store_recovering_ms(service->config);
	return known->has_epoch;
}
