/*
 * What a core can do of presence-pushd's own work: messages of a usual size,
 * encrypted, with the signed token for their push service (kept for twelve
 * hours), without sending them.
 *
 *     push SECONDS
 *
 * Prints one line, NAME=NUMBER …: `messages` a second of CPU time, `each` the
 * same with a token signed for each, which is the worst that could be met,
 * `bytes` of each body.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ec.h>

#include "auth/vapid.h"
#include "base/random.h"
#include "bench.h"
#include "push/encrypt.h"
#include "push/payload.h"

#define KEY_FILE "/tmp/presence-bench-push.XXXXXX"
#define RECEIVERS 64 /* different browsers */
#define ORIGIN "https://push.example.com"
#define HALF_DAY 43200

static struct vapid *make_vapid(void)
{
	char path[] = KEY_FILE, err[256] = "", *pem = vapid_make_key();
	int fd = mkstemp(path);
	struct vapid *vapid;

	if (fd < 0 || pem == NULL || write(fd, pem, strlen(pem)) != (ssize_t)strlen(pem))
		bench_die("cannot make a key");
	vapid = vapid_open(path, "mailto:bench@example.com", err, sizeof err);
	close(fd);
	unlink(path);
	free(pem);
	if (vapid == NULL)
		bench_die("%s", err);
	return vapid;
}

/* The keys of a browser: a point of the curve, and a secret. */
static void make_keys(struct push_keys *keys)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	size_t len;

	if (pair == NULL || EVP_PKEY_get_octet_string_param(pair, "pub", keys->p256dh,
							    sizeof keys->p256dh, &len) != 1)
		bench_die("cannot make a browser's keys");
	memset(keys->auth, 7, sizeof keys->auth);
	EVP_PKEY_free(pair);
}

/* Messages in a second of CPU time; `step`: seconds of the clock between two, for the token. */
static double measure(struct encryptor *encryptor, struct vapid *vapid,
		      const struct push_keys *keys, double seconds, int64_t step, size_t *bytes)
{
	struct push_job job = {.title = "Anna wrote to you",
			       .body = "Are you there? We start in ten minutes, as always.",
			       .url = "https://www.example.com/messages/17",
			       .tag = "message-17"};
	struct printbuf *payload = buf_new(), *body = buf_new();
	int64_t start = bench_cpu_ns(getpid()), spent = 0, now = 1700000000;
	long count = 0;

	while (spent < (int64_t)(seconds * 1e9)) {
		for (int i = 0; i < RECEIVERS; i++, count++, now += step) {
			char topic[PAYLOAD_TOPIC_LEN + 1];

			random_id(job.id);
			buf_reset(payload);
			buf_reset(body);
			payload_put(payload, &job);
			payload_topic(&job, topic);
			if (!encrypt_message(encryptor, &keys[i], payload->buf, buf_len(payload),
					     payload_padded(buf_len(payload)), body) ||
			    vapid_authorization(vapid, ORIGIN, now) == NULL)
				bench_die("encrypting or signing failed");
		}
		spent = bench_cpu_ns(getpid()) - start;
	}
	*bytes = buf_len(body);
	printbuf_free(payload);
	printbuf_free(body);
	return (double)count * 1e9 / (double)spent;
}

int main(int argc, char **argv)
{
	struct push_keys keys[RECEIVERS];
	struct encryptor *encryptor = encryptor_new();
	struct vapid *vapid = make_vapid();
	double seconds = argc == 2 ? (double)bench_number(argv[1], 60) : 1, each, kept;
	size_t bytes;

	for (int i = 0; i < RECEIVERS; i++)
		make_keys(&keys[i]);
	each = measure(encryptor, vapid, keys, seconds, HALF_DAY, &bytes);
	kept = measure(encryptor, vapid, keys, seconds, 0, &bytes);
	printf("messages=%.0f each=%.0f bytes=%zu\n", kept, each, bytes);
	vapid_free(vapid);
	encryptor_free(encryptor);
	return 0;
}
