/* The load generator's parts: streams.c (loop, commands), ask.c (what is sent). */
#ifndef PRESENCE_TESTS_STREAMS_H
#define PRESENCE_TESTS_STREAMS_H

#include "base/buf.h"
#include "base/config.h"
#include "reader.h"

#include <stdint.h>
#include <sys/types.h>

#define WATCHES_MAX 32
#define TARGETS_MAX 8

enum mode { MODE_HTTP, MODE_FCGI, MODE_FLOOR, MODE_BARE, MODE_NCHAN };

struct load;

struct stream {
	struct load *load;
	int fd; /* -1: closed */
	unsigned user;
	unsigned types_to; /* 0; else this is one call, by which the user types to that one */
	bool ready; /* holds its `initial` */
	bool in_initial; /* its data comes next */
	struct reader reader;
};

/* A process that is looked at. */
struct watch {
	const char *name;
	pid_t pid;
	int64_t cpu_ns; /* at the start of the command */
};

struct load {
	enum mode mode;
	const char *targets[TARGETS_MAX], *publish_to, *config_file;
	unsigned target_count, friends;
	struct watch watches[WATCHES_MAX];
	size_t watch_count;
	struct config *config;

	int epoll;
	bool has_command;
	struct stream *streams; /* of users 1, 2, … */
	unsigned stream_count, ready, lost;
	struct stream publisher; /* only its fd is used */
	char **tokens; /* of users 1, 2, … */
	unsigned token_count;

	int64_t started_ns; /* of the command */
	int64_t turn_ns; /* about now */
	uint32_t *samples; /* microseconds from publishing to arrival */
	size_t delivered, sample_room;
};

/* Reads the configuration and connects the publisher. */
void load_setup(struct load *load);

/* Whatever `open count` needs besides time: tokens. */
void prepare(struct load *load, unsigned count);
void write_tokens(struct load *load, unsigned count, const char *path);

/* A user's request for a stream; the caller frees it. */
struct printbuf *request_make(const struct load *load, unsigned user);

/* The call by which a user types to another one, with the time of now in it. */
struct printbuf *typing_make(const struct load *load, unsigned user, unsigned to);

/* A change of the user, with the time of now in it. */
void publish(struct load *load, unsigned user);
void publisher_drain(struct load *load);

/* Users 1 … count become online, by their tokens. */
void touch(struct load *load, unsigned count);

#endif
