/* Who is whose friend, in the directory and in the streams that are told of it. */
#include "chaos.h"

static bool *friend_at(const struct chaos *chaos, unsigned a, unsigned b)
{
	return &chaos->friends[a * (chaos->user_count + 1) + b];
}

bool friends_are(const struct chaos *chaos, unsigned a, unsigned b)
{
	return *friend_at(chaos, a, b);
}

void friends_set(struct chaos *chaos, unsigned a, unsigned b, bool are)
{
	if (are)
		directory_sql(chaos, "INSERT INTO friends VALUES (%u, %u), (%u, %u)", a, b, b, a);
	else
		directory_sql(chaos,
			      "DELETE FROM friends WHERE (user_id = %u AND friend_id = %u) "
			      "OR (user_id = %u AND friend_id = %u)",
			      a, b, b, a);
	*friend_at(chaos, a, b) = *friend_at(chaos, b, a) = are;
	chaos->untold[a] = chaos->untold[b] = true;
	friends_announce(chaos);
}

void friends_announce(struct chaos *chaos)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		if (!chaos->untold[i] || !stand_redis_answers(chaos))
			continue;
		stand_publish(chaos, "user:inbox:", i, "{\"type\":\"friends_changed\"}");
		chaos->untold[i] = false;
	}
}
