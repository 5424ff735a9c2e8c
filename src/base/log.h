/*
 * Log lines to stderr or syslog(3), each in logfmt (https://brandur.org/logfmt):
 *
 *     time=2026-11-26T15:04:31Z program=presence-api pid=17 level=warning msg="…" request="…"
 *
 * `msg` and `request` are always in quotes, with \ before each " and \ in them.
 */
#ifndef PRESENCE_BASE_LOG_H
#define PRESENCE_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * From now on lines up to `level` go to stderr or, with `to_syslog`, to the
 * daemon facility. Where stderr is the journal's, each begins with its priority,
 * <4> for a warning. `program` must stay valid. May be called again on reload.
 */
void log_setup(const char *program, enum log_level level, bool to_syslog);

/* Whether lines of this level are written, for those whose making costs something. */
bool log_is_wanted(enum log_level level);

/*
 * From now on this thread's lines end with request="ID", of the request that they are
 * about, until another one or NULL is set. It must stay valid.
 */
void log_set_request(const char *id);

/* The one that is set, borrowed, for a thread that goes on with its work; NULL: none. */
const char *log_request(void);

/*
 * One line each, from any thread; what is no UTF-8 and what may end or change a line (controls,
 * U+2028, U+2029) is replaced by '?', so that what a peer sent cannot forge
 * one. Never write a token, password or ticket.
 */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* One about that request (NULL: about none), whichever is set. */
void log_about(const char *request, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
