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
	if (service->directory == NULL ||
	    (config->push.key_file[0] != '\0' && service->vapid == NULL)) {
		directory_close(service->directory);
		token_keys_free(service->keys);
		free(service);
		return NULL;
	}
	service->store = store_new(config, 0, config->redis.prefix);
	service->redis = blocking_new(config);
	service->body = buf_new();
	service->pipeline = buf_new();
	service->answer = buf_new();
	service->fields = buf_new();
	service->out = buf_new();
	return service;
}

void service_free(struct service *service)
{
	printbuf_free(service->body);
	printbuf_free(service->pipeline);
	printbuf_free(service->answer);
	printbuf_free(service->fields);
	printbuf_free(service->out);
	blocking_free(service->redis);
	store_free(service->store);
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

/*
 * Between a wipe and the first sweep after it nothing in Redis tells that it was
 * wiped; but this worker has seen an epoch before. Not for ever: where no
 * presence-streamd runs any more, nobody makes another.
 */
bool service_has_lost_epoch(struct service *service, bool is_there)
{
	int64_t now = times_mono_ms();

	if (is_there) {
		service->knows_epoch = true;
		service->epoch_lost_ms = 0;
		return false;
	}
	if (!service->knows_epoch)
		return false;
	if (service->epoch_lost_ms == 0)
		service->epoch_lost_ms = now;
	service->knows_epoch = now - service->epoch_lost_ms < store_recovering_ms(service->config);
	return service->knows_epoch;
}
