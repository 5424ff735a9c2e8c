/* Apache's ways of serving. */
#include "servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULES "/usr/lib/apache2/modules" /* Debian's */

/* What a site has of its own, here with all in the stand's directory. */
static const char *base_conf(struct site *site)
{
	static const char *const modules[] = {"mpm_event", "authz_core", "env",	     "alias",
					      "headers",   "rewrite",	 "setenvif", "filter",
					      "deflate",   "mime",	 "dir"};
	struct stack *stack = site->stack;
	const char *text = "";

	for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++)
		text = text_of("%sLoadModule %s_module " MODULES "/mod_%s.so\n", text, modules[i],
			       modules[i]);
	if (site_user() != NULL)
		text = text_of("%sUser %s\nGroup %s\n", text, site_user(), site_user());
	return text_of("%s"
		       "ServerName localhost\nListen 127.0.0.1:%d\n"
		       "PidFile %s/apache.pid\nDefaultRuntimeDir %s\nMutex file:%s default\n"
		       "ErrorLog %s/apache-error.log\nLogLevel info\n"
		       "StartServers 1\nThreadsPerChild 64\nMaxRequestWorkers 128\n"
		       "DocumentRoot %s/site\nTypesConfig /dev/null\n"
		       "SetOutputFilter DEFLATE\n" /* what the stream must not get */
		       "CustomLog %s/access.log presence\n",
		       text, stack->port, stack->dir, stack->dir, stack->dir, stack->dir,
		       stack->dir, stack->dir);
}

static const char *load(const char *name)
{
	return text_of("LoadModule %s_module " MODULES "/mod_%s.so\n", name, name);
}

static const char *fcgid_places(struct site *site)
{
	return text_of("%sFcgidIPCDir %s/fcgid\nFcgidProcessTableFile %s/fcgid.shm\n",
		       load("fcgid"), site->stack->dir, site->stack->dir);
}

static const char *conf_of_api(struct site *site, const char *name)
{
	const struct change changes[] = {
		{"/usr/local/sbin/presence-api", site_program(site, "presence-api")},
		{"/etc/presence/presence.conf", stack_path(site->stack, "presence.conf")},
		{WEB_PLACE, site_web(site)},
		{NULL, NULL},
	};

	return conf_with(name, changes);
}

static const char *conf_of_streams(struct site *site, bool api_too)
{
	const char *define = "#Define presence_api_socket /run/presence/api.sock";
	const char *socket = stack_path(site->stack, "api.sock");
	const struct change changes[] = {
		{define, api_too ? text_of("Define presence_api_socket %s", socket) : ""},
		{"/run/presence/stream.sock", streamd_socket(site->stack, 0)},
		{WEB_PLACE, site_web(site)},
		{"timeout=75", text_of("timeout=%d", site->silence)},
		{"GracefulShutdownTimeout 10", "GracefulShutdownTimeout 1"},
		{NULL, NULL},
	};

	return conf_with("apache-proxy-fcgi.conf", changes);
}

static void run_apache(struct site *site, void (*write)(struct site *site))
{
	const char *argv[] = {"apache2",
			      "-D",
			      "FOREGROUND",
			      "-d",
			      site->stack->dir,
			      "-f",
			      stack_path(site->stack, "apache.conf"),
			      NULL};

	mkdir(stack_path(site->stack, "site"), 0755);
	web_start(site, write, argv);
}

/* --- a server of one's own ---------------------------------------------------------------- */

static void write_fcgid(struct site *site)
{
	stack_write(site->stack, "apache.conf",
		    text_of("%s%s%s%s%s%s", base_conf(site), fcgid_places(site), load("proxy"),
			    load("proxy_fcgi"), conf_of_api(site, "apache-fcgid.conf"),
			    conf_of_streams(site, false)));
}

void start_apache_fcgid(struct site *site)
{
	run_apache(site, write_fcgid);
}

static void write_proxy(struct site *site)
{
	stack_write(site->stack, "apache.conf",
		    text_of("%s%s%s%s", base_conf(site), load("proxy"), load("proxy_fcgi"),
			    conf_of_streams(site, true)));
}

void start_apache_proxy(struct site *site)
{
	api_spawn(site);
	run_apache(site, write_proxy);
}

static void write_cgid(struct site *site)
{
	stack_write(site->stack, "apache.conf",
		    text_of("%s%sScriptSock %s/cgid.sock\n%s", base_conf(site), load("cgid"),
			    site->stack->dir, conf_of_api(site, "apache-cgid.conf")));
}

void start_apache_cgid(struct site *site)
{
	run_apache(site, write_cgid);
}

/* --- a host where one has a folder and nothing else --------------------------------------- */

/* What the host's administrator has set up, for all customers. */
static const char *host_conf(struct site *site)
{
	return text_of("%s"
		       "<Directory %s/site>\n Require all granted\n"
		       " AllowOverride AuthConfig FileInfo Options\n</Directory>\n"
		       "LogFormat \"%%h \\\"%%m %%U %%H\\\" %%>s\" presence\n",
		       base_conf(site), site->stack->dir);
}

/* FcgidOutputBufferSize stays what it is, 64 kB: no .htaccess can change it. */
static void write_shared_host(struct site *site)
{
	stack_write(site->stack, "apache.conf",
		    text_of("%s%sFcgidIOTimeout %d\n"
			    "FcgidMaxProcessesPerClass %d\nFcgidSpawnScoreUpLimit 100\n",
			    host_conf(site), fcgid_places(site), site->silence, site->slots));
}

static void write_shared_cgi(struct site *site)
{
	stack_write(site->stack, "apache.conf",
		    text_of("%s%sScriptSock %s/cgid.sock\n", host_conf(site), load("cgid"),
			    site->stack->dir));
}

static void put_script(struct site *site, const char *name)
{
	bool streams = strcmp(name, "presence-stream.fcgi") == 0;
	const struct change changes[] = {
		{"/home/USER/presence", stack_path(site->stack, "home")},
		{streams ? "MAX_LIFETIME=200" : NULL, text_of("MAX_LIFETIME=%d", site->lifetime)},
		{"MAX_STREAMS=50", text_of("MAX_STREAMS=%d", site->streams)},
		{"PADDING=66000", text_of("PADDING=%d", site->padding)},
		{NULL, NULL},
	};
	const char *path = text_of("site/api/%s", name);

	stack_write(site->stack, path, conf_with(name, changes));
	ck_assert_int_eq(chmod(stack_path(site->stack, path), 0755), 0);
}

/* The user's own folder: site/api in the web, home/ outside of it. */
static void fill_folder(struct site *site, const struct change *htaccess)
{
	struct stack *stack = site->stack;
	static const char *const names[] = {"presence-api", "presence-streamd"};

	mkdir(stack_path(stack, "site"), 0755);
	mkdir(stack_path(stack, "site/api"), 0755);
	mkdir(stack_path(stack, "home"), 0755);
	give(stack, "home");
	mkdir(stack_path(stack, "home/sbin"), 0755);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		ck_assert_int_eq(symlink(site_program(site, names[i]),
					 stack_path(stack, text_of("home/sbin/%s", names[i]))),
				 0);
	ck_assert_int_eq(symlink(stack_path(stack, "presence.conf"),
				 stack_path(stack, "home/presence.conf")),
			 0);
	stack_write(stack, "site/api/.htaccess", conf_with("htaccess.example", htaccess));
	put_script(site, "presence-api.fcgi");
	put_script(site, "presence-stream.fcgi");
}

void start_apache_shared_host(struct site *site)
{
	static const struct change none[] = {{NULL, NULL}};

	fill_folder(site, none);
	run_apache(site, write_shared_host);
}

void start_apache_shared_cgi(struct site *site)
{
	static const struct change plain_cgi[] = {
		{"AddHandler fcgid-script .fcgi", "AddHandler cgi-script .fcgi"},
		{"RewriteRule ^presence/stream(/admin)?$ presence-stream.fcgi [END]", ""},
		{NULL, NULL},
	};

	fill_folder(site, plain_cgi);
	run_apache(site, write_shared_cgi);
}
