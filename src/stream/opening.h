/* From a request to an open stream: route, token or ticket, limits, session, `connected`. */
#ifndef PRESENCE_STREAM_OPENING_H
#define PRESENCE_STREAM_OPENING_H

#include "stream/stream.h"

/* REQUEST, its parameters complete: INBOX, TICKET, or an answer that is not a stream. */
void opening_begin(struct stream *stream);

/* TICKET, taken: INBOX, or a refusal. */
void opening_admit(struct stream *stream);

/* FRIENDS, known: asks for the session: SESSION, or a refusal. */
void opening_ask_session(struct stream *stream);

/* SESSION: header and `connected` go out; with the link down, `degraded` too. OPEN. */
void opening_finish(struct stream *stream);

/* FIGURES, the token good, or Redis away: the header goes out. */
void opening_show_figures(struct stream *stream);

#endif
