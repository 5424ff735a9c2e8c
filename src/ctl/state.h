/* What a user said of itself, in words. */
#ifndef PRESENCE_CTL_STATE_H
#define PRESENCE_CTL_STATE_H

#include "store/chosen.h"

/* Appends the steps, as lines of explain. */
void state_put_lines(struct printbuf *out, const struct chosen *chosen, enum last_seen site);

#endif
