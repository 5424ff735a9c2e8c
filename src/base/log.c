#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "base/times.h"
#include "base/utf8.h"

#define LOG_LINE_MAX 1024

/* Of the process; the threads of the directory write lines while it is reloaded. */
static struct {
	_Atomic(const char *) program;
	_Atomic enum log_level level;
	atomic_bool to_syslog;
	atomic_bool to_journal; /* standard error is the journal's */
} settings = {"presence", LOG_LEVEL_INFO, false, false};

static _Thread_local const char *served_id; /* of the request; NULL: none */

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

/* What may forge a line, or is no text, becomes '?'. */
static void mask(char *line)
{
	const char *end = line + strlen(line);
	char *to = line;

	for (const char *from = line; from < end;) {
		size_t len = utf8_len(from, end);

		if (len == 0 || utf8_is_control(from, len)) {
			*to++ = '?';
			from += len > 0 ? len : 1;
			continue;
		}
		memmove(to, from, len);
		to += len;
		from += len;
	}
	*to = '\0';
}

void log_set_request(const char *request_id)
{
	served_id = request_id;
}

static void write_line(enum log_level level, const char *format, va_list args)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	static const char *const names[] = {"error", "warning", "info", "debug"};
	char line[LOG_LINE_MAX], when[TIMES_LEN + 1];
	int len;

	if (!log_is_wanted(level))
		return;
	len = vsnprintf(line, sizeof line, format, args);
	if (served_id != NULL && len >= 0 && (size_t)len < sizeof line)
		snprintf(line + len, sizeof line - (size_t)len, " request=%s", served_id);
	mask(line);
	if (settings.to_syslog) {
		syslog(priorities[level], "%s", line);
		return;
	}
	/* sd-daemon(3): the priority in front; the journal has time, program and process. */
	if (settings.to_journal) {
		dprintf(STDERR_FILENO, "<%d>%s: %s\n", priorities[level], names[level], line);
		return;
	}
	times_format(times_wall_ms() / 1000, when);
	/* One write per line: several processes share this stderr. */
	dprintf(STDERR_FILENO, "%s %s[%d] %s: %s\n", when, settings.program, (int)getpid(),
		names[level], line);
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
