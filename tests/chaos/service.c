/*
 * The push service and the site's own webhook: HTTPS on the run's own loop. Everything is answered 201.
 *
 *     POST /push/SUBSCRIPTION     what a browser gets, encrypted
 *     POST /hook                  the same for the site, readable
 */
#include "chaos.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/alloc.h"
#include "integration/push.h"

#define REQUEST_MAX 16384

struct service {
	struct source source; /* the listening socket's */
	struct chaos *chaos;
	int fd, port;
	SSL_CTX *tls;
};

struct visit {
	struct source source;
	struct service *service;
	int fd;
	SSL *ssl;
	size_t len;
	char request[REQUEST_MAX + 1];
};

static void visit_end(struct visit *visit)
{
	epoll_ctl(visit->service->chaos->epoll, EPOLL_CTL_DEL, visit->fd, NULL);
	SSL_free(visit->ssl);
	close(visit->fd);
	free(visit);
}

/* The length of the whole request, 0: the header is not complete. */
static size_t wanted(const char *request)
{
	const char *end = strstr(request, "\r\n\r\n"),
		   *length = strcasestr(request, "\r\nContent-Length:");

	if (end == NULL)
		return 0;
	return (size_t)(end + 4 - request) +
	       (length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

static void on_hook(struct chaos *chaos, const char *body)
{
	struct json_object *message = json_tokener_parse(body), *note, *data, *value;
	struct notification notification = {0};

	if (json_object_object_get_ex(message, "user_id", &value))
		notification.user = (unsigned)json_object_get_int(value);
	if (json_object_object_get_ex(message, "notification", &note) &&
	    json_object_object_get_ex(note, "data", &data) &&
	    json_object_object_get_ex(data, "user_id", &value))
		notification.friend = (unsigned)json_object_get_int(value);
	json_object_put(message);
	properties_notified(chaos, &notification);
}

static void on_push(struct chaos *chaos, const char *request)
{
	struct notification notification = {0};

	if (sscanf(request, "POST /push/%u.%u.%u ", &notification.user, &notification.device,
		   &notification.subscription) != 3)
		return;
	properties_notified(chaos, &notification);
}

static void answer(struct visit *visit)
{
	static const char text[] =
		"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	struct chaos *chaos = visit->service->chaos;

	if (strncmp(visit->request, "POST /hook ", 11) == 0)
		on_hook(chaos, strstr(visit->request, "\r\n\r\n") + 4);
	else
		on_push(chaos, visit->request);
	SSL_write(visit->ssl, text, sizeof text - 1);
	SSL_shutdown(visit->ssl);
	visit_end(visit);
}

/* Small and on loopback: what is to be written goes at once. */
static void on_visit(struct source *source, uint32_t events)
{
	struct visit *visit = (struct visit *)source;
	int got;

	(void)events;
	do {
		got = SSL_read(visit->ssl, visit->request + visit->len,
			       (int)(REQUEST_MAX - visit->len));
		if (got > 0)
			visit->len += (size_t)got;
		visit->request[visit->len] = '\0';
		if (wanted(visit->request) > 0 && visit->len >= wanted(visit->request)) {
			answer(visit);
			return;
		}
	} while (got > 0 && visit->len < REQUEST_MAX);
	if (SSL_get_error(visit->ssl, got) != SSL_ERROR_WANT_READ)
		visit_end(visit); /* killed in the middle of it */
}

static void watch(struct chaos *chaos, int fd, struct source *source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	ck_assert_int_eq(epoll_ctl(chaos->epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

static void on_listener(struct source *source, uint32_t events)
{
	struct service *service = (struct service *)source;
	int fd = accept4(service->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct visit *visit;

	(void)events;
	if (fd < 0)
		return;
	visit = xcalloc(1, sizeof *visit);
	visit->source.ready = on_visit;
	visit->service = service;
	visit->fd = fd;
	visit->ssl = SSL_new(service->tls);
	SSL_set_fd(visit->ssl, fd);
	SSL_set_accept_state(visit->ssl);
	watch(service->chaos, fd, &visit->source);
}

void service_start(struct chaos *chaos)
{
	struct service *service = xcalloc(1, sizeof *service);
	struct stack *stack = chaos->stand.stack;
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof name;

	push_make_certificate(stack);
	service->chaos = chaos;
	service->source.ready = on_listener;
	service->tls = SSL_CTX_new(TLS_server_method());
	ck_assert_int_eq(SSL_CTX_use_certificate_file(service->tls, stack_path(stack, "tls.pem"),
						      SSL_FILETYPE_PEM),
			 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(service->tls, stack_path(stack, "tls.key"),
						     SSL_FILETYPE_PEM),
			 1);
	service->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(service->fd, (struct sockaddr *)&name, sizeof name), 0);
	ck_assert_int_eq(listen(service->fd, 512), 0);
	ck_assert_int_eq(getsockname(service->fd, (struct sockaddr *)&name, &size), 0);
	service->port = ntohs(name.sin_port);
	watch(chaos, service->fd, &service->source);
	chaos->stand.service = service;
}

int service_port(const struct chaos *chaos)
{
	return chaos->stand.service->port;
}

void service_put_conf(struct chaos *chaos, struct printbuf *conf)
{
	struct stack *stack = chaos->stand.stack;

	stack_write_secret(stack, "push.pem", CTL(stack, "push", "key"));
	stack_write_secret(stack, "hook.key", "what-signs-the-webhook-is-at-least-32-bytes");
	buf_putf(conf,
		 "push { key_file = \"%s\" subject = \"mailto:push@example.com\" ca_file = \"%s\"\n"
		 "allow = \"localhost:%d\" webhook = \"https://localhost:%d/hook\" "
		 "webhook_key_file = \"%s\" }\n",
		 stack_path(stack, "push.pem"), stack_path(stack, "tls.pem"), service_port(chaos),
		 service_port(chaos), stack_path(stack, "hook.key"));
}
