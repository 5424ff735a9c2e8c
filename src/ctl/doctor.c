/* doctor: the order of its checks. */
#include <stdio.h>

#include "ctl/doctor_checks.h"

enum ctl_exit ctl_doctor(struct ctl *ctl, char **args, int count)
{
	struct doctor doctor = {.ctl = ctl, .is_first = true};
	struct userid user;

	(void)args, (void)count;
	if (ctl->user != NULL && !ctl_read_id(ctl->user, &user))
		return CTL_USAGE;
	if (ctl->url == NULL && (ctl->user != NULL || ctl->quick || ctl->streams >= 0))
		return ctl_refuse("--user, --streams and --quick go with --url");
	doctor_say(&doctor, FINDING_OK, NULL, "configuration: %s", ctl->file);
	doctor_check_keys(&doctor);
	doctor_check_directory(&doctor);
	doctor_check_streamd(&doctor);
	doctor_check_redis(&doctor);
	doctor_check_push(&doctor);
	doctor_check_web(&doctor);
	if (ctl->json)
		puts("]");
	token_keys_free(doctor.keys);
	return doctor.failed ? CTL_FAILED : CTL_DONE;
}
