/*
 * Properties of the configuration over any bytes: it is taken, with every number within the option
 * table's bounds and every text there, or refused with the file's name, a line and a sentence of one
 * line. Nothing of it ends the process. The same bytes as a file of comma-separated values: its rows,
 * written with all fields in quotes, are read as the same.
 */
#include "fuzz.h"

#include <ctype.h>
#include <string.h>

#include "base/address.h"
#include "base/config.h"
#include "base/csv.h"
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

static void put_row(struct printbuf *out, const struct csv *csv)
{
	for (size_t i = 0; i < csv->count; i++) {
		buf_puts(out, i > 0 ? ",\"" : "\"");
		for (const char *c = csv->fields[i]; *c != '\0'; c++)
			buf_putf(out, *c == '"' ? "\"\"" : "%c", *c);
		buf_puts(out, "\"");
	}
	buf_puts(out, "\r\n");
}

/* Appends the rows that are some; false: it is not a file of values at all. */
static bool read_rows(const void *data, size_t size, struct printbuf *rows)
{
	char path[FUZZ_PATH_SIZE], err[ERR_SIZE] = "";
	int fd = fuzz_file(data, size, path), line = 0;
	struct csv csv;
	enum csv_result result = CSV_END;
	bool ok = csv_open(&csv, path, err, sizeof err);

	REQUIRE(ok != (err[0] != '\0'));
	while (ok && (result = csv_next(&csv)) != CSV_END) {
		REQUIRE(csv.line > line && csv.line <= csv.next_line);
		line = csv.line;
		REQUIRE(result == CSV_ROW ? csv.count > 0 && csv.count <= CSV_FIELDS_MAX
					  : strlen(csv.why) > 10);
		if (result == CSV_ROW) {
			put_row(rows, &csv);
			REQUIRE(csv_find(&csv, csv.fields[csv.count - 1]) >= 0);
		}
	}
	csv_close(&csv);
	close(fd);
	return ok;
}

static void check_csv(const void *data, size_t size)
{
	struct printbuf *rows = buf_new(), *again = buf_new();

	if (read_rows(data, size, rows)) {
		REQUIRE(read_rows(rows->buf, buf_len(rows), again));
		REQUIRE(strcmp(rows->buf, again->buf) == 0);
	}
	printbuf_free(rows);
	printbuf_free(again);
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
	check_csv(data, size);
	return 0;
}
