/* doctor: its checks, one file each. Every one says what it found. */
#ifndef PRESENCE_CTL_DOCTOR_CHECKS_H
#define PRESENCE_CTL_DOCTOR_CHECKS_H

#include "ctl/doctor_report.h"

/* The keys that sign and verify tokens; opens doctor->keys. */
void doctor_check_keys(struct doctor *doctor);
/* The directory: whether its queries are answered. */
void doctor_check_directory(struct doctor *doctor);
/* presence-streamd's socket, and how many streams it may hold. */
void doctor_check_streamd(struct doctor *doctor);
/* Whether Redis is one that the service can work with, and is swept. */
void doctor_check_redis(struct doctor *doctor);
/* The key of Web Push, and presence-pushd. */
void doctor_check_push(struct doctor *doctor);
/* The web server at --url, as a browser meets it. */
void doctor_check_web(struct doctor *doctor);
/* Whether calls are answered while many streams are open; part of the web server's. */
void doctor_check_load(struct doctor *doctor);

#endif
