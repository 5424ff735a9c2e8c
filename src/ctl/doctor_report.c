#include "ctl/doctor_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "ctl/table.h"

#define SENTENCE_SIZE 512

void doctor_say(struct doctor *doctor, enum finding finding, const char *change, const char *format,
		...)
{
	static const char *const names[] = {"ok", "warn", "FAIL"};
	static const enum table_colour colours[] = {TABLE_GREEN, TABLE_YELLOW, TABLE_RED};
	struct printbuf *out = buf_new();
	char what[SENTENCE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	doctor->failed = doctor->failed || finding == FINDING_FAIL;
	if (doctor->ctl->json) {
		buf_putf(out, "%s{\"state\":\"%s\",\"what\":", doctor->is_first ? "[" : ",\n",
			 names[finding]);
		json_put_string(out, what, strlen(what));
		buf_puts(out, ",\"change\":");
		if (change != NULL)
			json_put_string(out, change, strlen(change));
		else
			buf_puts(out, "null");
		buf_puts(out, "}");
	} else {
		buf_putf(out, "%s%-4s%s  %s%s%s\n", table_begin_colour(colours[finding]),
			 names[finding], table_end_colour(colours[finding]), what,
			 change != NULL ? " - " : "", change != NULL ? change : "");
	}
	doctor->is_first = false;
	ctl_print(out);
	printbuf_free(out);
	fflush(stdout); /* the next check may take its time */
}
