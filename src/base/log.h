/* Log lines to stderr or syslog(3). */
#ifndef PRESENCE_BASE_LOG_H
#define PRESENCE_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * From now on lines up to `level` go to stderr or, with `to_syslog`, to the
 * daemon facility. Where stderr is the journal's, each begins with its priority
 * instead of time and program. `program` must stay valid. May be called again on reload.
 */
void log_setup(const char *program, enum log_level level, bool to_syslog);

/* Whether lines of this level are written, for those whose making costs something. */
bool log_is_wanted(enum log_level level);

/*
 * From now on the lines of this thread end with request=NAME, of the request that it serves, until
 * NULL is set. It must stay valid.
 */
void log_set_request(const char *request_id);

/*
 * One line each, from any thread; what is no UTF-8 and what may end or change a line (controls,
 * U+2028, U+2029) is replaced by '?', so that what a peer sent cannot forge
 * one. Never write a token, password or ticket.
 */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
