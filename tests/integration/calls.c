#include "calls.h"

#include <stdio.h>
#include <string.h>

void touch(struct stack *stack, const char *token)
{
	http_ok(stack, COUNT, token, NULL);
}

void touch_user(struct stack *stack, const char *id)
{
	touch(stack, token_for(stack, id));
}

/* A row of the table: {"GET", "/presence/blocks/{id}", … */
static bool read_row(const char *line, char method[16], char path[64])
{
	char rest[64], *id;

	if (sscanf(line, " {\"%15[A-Z]\", \"%63[^\"]\"", method, rest) != 2)
		return false;
	id = strstr(rest, "{id}");
	if (id != NULL)
		memmove(id + 1, id + 4, strlen(id + 4) + 1);
	if (id != NULL)
		*id = '2';
	return snprintf(path, 64, "/api%s", rest) < 64;
}

size_t call_routes(struct call_route routes[CALL_ROUTES_MAX])
{
	char *text = source_file("src/api/main.c"), *rest, method[16], path[64];
	size_t count = 0;

	rest = strstr(text, "routes[] = {");
	ck_assert_ptr_nonnull(rest);
	*strstr(rest, "};") = '\0';
	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		size_t i = 0;

		if (!read_row(line, method, path))
			continue;
		while (i < count && strcmp(routes[i].path, path) != 0)
			i++;
		if (i == count) {
			ck_assert_uint_lt(count, CALL_ROUTES_MAX);
			strcpy(routes[count].path, path);
			routes[count++].methods[0] = '\0';
		}
		if (routes[i].methods[0] != '\0')
			strcat(routes[i].methods, ", ");
		strcat(routes[i].methods, strcmp(method, "GET") == 0 ? "GET, HEAD" : method);
	}
	ck_assert_uint_gt(count, 20);
	return count;
}

bool call_route_has(const struct call_route *route, const char *method)
{
	return strstr(route->methods, method) != NULL;
}

const char *login(struct stack *stack, const char *email)
{
	char body[512];

	snprintf(body, sizeof body, "{\"email\":\"%s\",\"password\":\"%s\"}", email, PASSWORD);
	return json_text(http_ok(stack, LOGIN, NULL, body), "access_token");
}

const char *scoped_token(struct stack *stack, const char *scope)
{
	return strtok(strdup(CTL(stack, "token", "9", "--scope", scope)), "\n");
}

const char *admin_token(struct stack *stack)
{
	return scoped_token(stack, "admin");
}

const char *ticket_for(struct stack *stack, const char *token)
{
	return json_text(http_ok(stack, TICKET, token, ""), "ticket");
}
