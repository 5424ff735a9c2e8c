/*
 * A PostgreSQL of the stand's own, of the newest version that is installed: its
 * user "presence" needs no password, its database is "postgres", and it listens
 * in postgres_dir() alone.
 */
#ifndef PRESENCE_TESTS_POSTGRES_H
#define PRESENCE_TESTS_POSTGRES_H

#include "harness.h"

void postgres_make(struct stack *stack); /* in a stack without one; starts it */
void postgres_start(struct stack *stack);
void postgres_stop(struct stack *stack);
void postgres_signal(struct stack *stack, int number); /* to every process of the server */
const char *postgres_dir(struct stack *stack);
/* One statement or more; its rows, one a line. */
char *postgres_sql(struct stack *stack, const char *statements);

#endif
