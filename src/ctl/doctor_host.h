/* doctor: the web server's processes, where it runs on this machine and we may look at them. */
#ifndef PRESENCE_CTL_DOCTOR_HOST_H
#define PRESENCE_CTL_DOCTOR_HOST_H

#include "ctl/doctor_report.h"

/* Finds the processes, if it runs here; `address` is the one that answered, `port` its own. */
void doctor_find_server(struct doctor *doctor, const char *address, int port);
/* Whether the web server's user may connect to the programs' sockets; false: said why not. */
bool doctor_check_rights(struct doctor *doctor);
/* Whether its processes may open as many descriptors as streams take. */
void doctor_check_descriptors(struct doctor *doctor);

#endif
