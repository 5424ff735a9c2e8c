/* doctor: what its checks know and find. Each check says one line or more. */
#ifndef PRESENCE_CTL_DOCTOR_REPORT_H
#define PRESENCE_CTL_DOCTOR_REPORT_H

#include "auth/token_keys.h"
#include "ctl/ctl.h"
#include "ctl/doctor_advice.h"
#include "ctl/doctor_process.h"

/*
 * In whose name the web server is tried, and many streams from there downwards: nobody's ids, which
 * still fit an integer column of any database.
 */
#define DOCTOR_NOBODY 2147483647

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct doctor {
	struct ctl *ctl;
	struct token_keys *keys; /* NULL: they do not work, which was said */
	bool failed; /* something is FINDING_FAIL */
	bool is_first; /* nothing was said yet */
	bool streamd_answers; /* on its own socket */
	enum web_server server; /* that answers at --url */
	struct web_process *processes; /* its own on this machine, as far as we may look at them */
	int process_count;
};

/* Says what was found; `change`: what to do about it, NULL with FINDING_OK. */
void doctor_say(struct doctor *doctor, enum finding finding, const char *change, const char *format,
		...) __attribute__((format(printf, 4, 5)));

#endif
