/* Why a user looks so to another, from the facts: in one sentence, and the whole in JSON. */
#ifndef PRESENCE_STORE_EXPLANATION_H
#define PRESENCE_STORE_EXPLANATION_H

#include "store/facts.h"

#define EXPLANATION_SIZE 1024

/* One sentence: what the viewer sees, and why. */
void explanation_conclude(const struct facts *facts, char text[EXPLANATION_SIZE]);

/* Appends an object with everything; docs/api.md, "GET /api/admin/user/{id}". */
void explanation_put_json(struct printbuf *out, const struct facts *facts);

#endif
