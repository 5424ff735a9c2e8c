/* doctor: what its checks share. Each check says one line or more. */
#ifndef PRESENCE_CTL_DOCTOR_H
#define PRESENCE_CTL_DOCTOR_H

#include "auth/token.h"
#include "ctl/ctl.h"

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct doctor {
	struct ctl *ctl;
	struct token_keys *keys; /* NULL: they do not work, which was said */
	bool failed; /* something is FINDING_FAIL */
	bool is_first; /* nothing was said yet */
	bool streamd_answers; /* on its own socket */
};

/* Says what was found; `change`: what to do about it, NULL with FINDING_OK. */
void doctor_say(struct doctor *doctor, enum finding finding, const char *change, const char *format,
		...) __attribute__((format(printf, 4, 5)));

/* doctor_redis.c: whether Redis is one that the service can work with, and is swept */
void doctor_check_redis(struct doctor *doctor);
/* doctor_streamd.c: presence-streamd's socket, and how many streams it may hold */
void doctor_check_streamd(struct doctor *doctor);
/* doctor_web.c: the web server at --url */
void doctor_check_web(struct doctor *doctor);

#endif
