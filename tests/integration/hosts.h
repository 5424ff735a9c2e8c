/*
 * Two hosts with a link between them that can be cut: network namespaces of the test's own, which end with its
 * last process. Whatever the test starts, and whoever it connects to on 127.0.0.1, is on the host that it has
 * entered last.
 */
#ifndef PRESENCE_TESTS_HOSTS_H
#define PRESENCE_TESTS_HOSTS_H

#include "harness.h"

#define HOSTS 2

struct host {
	int number; /* from 0 */
	int net; /* its namespace */
	const char *address; /* on the link; TEST-NET-1, RFC 5737 */
};

/* As harness_main(); where namespaces cannot be made it says so, and the tests are skipped. */
int hosts_main(Suite *suite);
/* Makes the hosts and enters the first one. Once in a test. */
void hosts_make(struct host hosts[HOSTS]);
void host_enter(const struct host *host);
/* From now on each packet is lost, and nobody is told: no error, no end of a connection. */
void hosts_cut(const struct host hosts[HOSTS]);
void hosts_heal(const struct host hosts[HOSTS]);

#endif
