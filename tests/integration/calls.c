#include "calls.h"

#include <stdio.h>

void touch(struct stack *stack, const char *token)
{
	http_ok(stack, COUNT, token, NULL);
}

void touch_user(struct stack *stack, const char *id)
{
	touch(stack, token_for(stack, id));
}

const char *login(struct stack *stack, const char *email)
{
	char body[512];

	snprintf(body, sizeof body, "{\"email\":\"%s\",\"password\":\"%s\"}", email, PASSWORD);
	return json_text(http_ok(stack, LOGIN, NULL, body), "access_token");
}

const char *ticket_for(struct stack *stack, const char *token)
{
	return json_text(http_ok(stack, TICKET, token, ""), "ticket");
}
