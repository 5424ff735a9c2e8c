/*
 * Properties of the configuration over any bytes: it is taken, with every number within the option
 * table's bounds and every text there, or refused with the file's name, a line and a sentence of one
 * line. Nothing of it ends the process.
 */
#include "fuzz.h"

#include <ctype.h>
#include <string.h>

#include "base/address.h"
#include "base/config.h"
#include "base/redis_url.h"

#define ERR_SIZE 1024

static void check_error(const char *err, const char *path)
{
	size_t len = strlen(path);

	REQUIRE(strncmp(err, path, len) == 0 && err[len] == ':');
	REQUIRE(isdigit((unsigned char)err[len + 1]));
	err += len + 1;
	err += strspn(err, "0123456789");
	REQUIRE(strncmp(err, ": ", 2) == 0 && err[2] != '\0');
}

static void check_config(const struct config *config)
{
	struct redis_url redis;
	struct listen_address listen;

	/* A sample of each kind: bounds of numbers, relations, addresses, words. */
	REQUIRE(config->redis.timeout_ms > 0 && config->presence.sweep > 0);
	REQUIRE(config->presence.stream_ttl >= 2 * config->presence.heartbeat);
	REQUIRE(config->presence.max_batch > 0 && config->stream.queue_limit > 0);
	REQUIRE(config->auth.algorithm >= AUTH_HS256 && config->auth.algorithm <= AUTH_ES512);
	REQUIRE(config->log.level >= LOG_LEVEL_ERROR && config->log.level <= LOG_LEVEL_DEBUG);
	REQUIRE(strchr(config->redis.prefix, '\n') == NULL);
	REQUIRE(redis_url_parse(config->redis.url, &redis) == NULL);
	redis_url_free(&redis);
	if (config->stream.listen[0] != '\0') {
		REQUIRE(listen_address_parse(config->stream.listen, &listen) == NULL);
		listen_address_free(&listen);
	}
	REQUIRE(config->http.base[0] == '\0' || config->http.base[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[FUZZ_PATH_SIZE], err[ERR_SIZE] = "";
	int fd = fuzz_file(data, size, path);
	struct config *config = config_load(path, err, sizeof err);

	if (config != NULL)
		check_config(config);
	else
		check_error(err, path);
	config_free(config);
	close(fd);
	return 0;
}
