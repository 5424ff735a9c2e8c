#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/times.h"
#include "base/utf8.h"

#define MESSAGE_MAX 1024 /* bytes; the rest is left out */

/* Of the process; the threads of the directory write lines while it is reloaded. */
static struct {
	_Atomic(const char *) program;
	_Atomic enum log_level level;
	atomic_bool to_syslog;
	atomic_bool to_journal; /* standard error is the journal's */
} settings = {"presence", LOG_LEVEL_INFO, false, false};

/* Whom this thread works for; NULL: nobody in particular. */
static _Thread_local const char *request_id;

/* systemd.exec(5): $JOURNAL_STREAM is "device:inode" of what leads to the journal. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat info;

	return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(fd, &info) == 0 && info.st_dev == device && info.st_ino == inode;
}

void log_setup(const char *program, enum log_level level, bool to_syslog)
{
	if (settings.to_syslog)
		closelog();
	settings.program = program;
	settings.level = level;
	settings.to_syslog = to_syslog;
	settings.to_journal = is_journal(STDERR_FILENO);
	if (to_syslog)
		openlog(program, LOG_PID, LOG_DAEMON);
}

bool log_is_wanted(enum log_level level)
{
	return level <= settings.level;
}

void log_set_request(const char *id)
{
	request_id = id;
}

const char *log_request(void)
{
	return request_id;
}

/* A value in quotes. What may forge a line, or is no text, becomes '?'. */
static void put_quoted(struct printbuf *line, const char *value)
{
	const char *end = value + strlen(value);

	buf_puts(line, "\"");
	while (value < end) {
		size_t len = utf8_len(value, end);

		if (len == 0 || utf8_is_control(value, len))
			buf_puts(line, "?");
		else if (*value == '"' || *value == '\\')
			buf_putf(line, "\\%c", *value);
		else
			buf_put(line, value, len);
		value += len > 0 ? len : 1;
	}
	buf_puts(line, "\"");
}

static void put_line(struct printbuf *line, const char *level, const char *message)
{
	char when[TIMES_LEN + 1];

	times_format(times_wall_ms() / 1000, when);
	buf_putf(line, "time=%s program=%s pid=%d level=%s msg=", when, settings.program,
		 (int)getpid(), level);
	put_quoted(line, message);
	if (request_id != NULL) {
		buf_puts(line, " request=");
		put_quoted(line, request_id);
	}
}

static void write_line(enum log_level level, const char *format, va_list args)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	static const char *const names[] = {"error", "warning", "info", "debug"};
	char message[MESSAGE_MAX];
	struct printbuf *line;

	if (!log_is_wanted(level))
		return;
	vsnprintf(message, sizeof message, format, args);
	line = buf_new();
	if (settings.to_journal && !settings.to_syslog) /* sd-daemon(3) */
		buf_putf(line, "<%d>", priorities[level]);
	put_line(line, names[level], message);
	/* One write per line: several processes share this stderr. */
	if (settings.to_syslog)
		syslog(priorities[level], "%s", line->buf);
	else
		dprintf(STDERR_FILENO, "%s\n", line->buf);
	printbuf_free(line);
}

void log_about(const char *request, enum log_level level, const char *format, ...)
{
	const char *before = log_request();
	va_list args;

	log_set_request(request);
	va_start(args, format);
	write_line(level, format, args);
	va_end(args);
	log_set_request(before);
}

#define DEFINE_LOG(name, level)                  \
	void name(const char *format, ...)       \
	{                                        \
		va_list args;                    \
		va_start(args, format);          \
		write_line(level, format, args); \
		va_end(args);                    \
	}

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warn, LOG_LEVEL_WARN)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
