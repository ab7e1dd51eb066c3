/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk serve: an image as an NBD export on a unix socket.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/size.h"
#include "nbd/protocol.h"
#include "nbd/server.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/verbs/verbs.h"

#define MAX_CLIENTS 16

struct serve {
	struct tool_common common;
	struct nbd_server server;
	bool read_only;
	struct loop_fd signals;
};

static const struct tool_option options[] = {
	{ 'k', "socket", "PATH", "the socket to serve on (needed)" },
	{ 'r', "read-only", NULL, "let nobody write" },
	{ 'x', "export-name", "NAME", "the export's name, \"\" by default" },
	{ 'e', "shared", "N", "clients at once, 16 by default" },
	{ OPT_ONCE, "once", NULL, "end when the last client has left" },
	TOOL_AIO,
	TOOL_CACHE,
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	TOOL_OUTPUT,
	TOOL_QUIET,
	TOOL_SHARE,
	TOOL_END
};

/* ---- signals ---- */

static void told_to_stop(struct loop_fd *watch, uint32_t events)
{
	struct serve *s = container_of(watch, struct serve, signals);

	loop_del_fd(image_loop(s->server.img), watch);
	nbd_server_stop(&s->server);
}

static int watch_signals(struct serve *s, struct loop *loop)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->signals = (struct loop_fd)LOOP_FD_INIT;
	if (fd < 0 || loop_add_fd(loop, &s->signals, fd, EPOLLIN, told_to_stop))
		return tool_error("cannot watch for signals: %s",
				  strerror(errno));
	return EXIT_OK;
}

/* ---- the verb ---- */

/* As libnbd and qemu-img take it. */
static void announce_export(const struct serve *s)
{
	const struct nbd_server *n = &s->server;
	char uri[8192];

	snprintf(uri, sizeof(uri), "nbd+unix:///%s?socket=%s", n->export_name,
		 n->path);
	if (s->common.json)
		tool_json_print(json_pack("{s:o, s:b}", "uri",
					  tool_json_text(uri), "read-only",
					  !image_writable(n->img)));
	else if (!s->common.quiet)
		printf("Serving %s as %s%s\n", image_path(n->img), uri,
		       image_writable(n->img) ? "" : ", read-only");
	fflush(stdout);
}

static int serve_image(struct serve *s, struct loop *loop, const char *path)
{
	struct error err = ERROR_INIT;
	int ret, closed;

	s->server.img = tool_open(loop, path, &s->common,
				  s->read_only ? 0 : IMAGE_RDWR | IMAGE_UNMAP);
	if (!s->server.img)
		return EXIT_FAILED;
	ret = nbd_server_start(&s->server, &err);
	if (ret) {
		tool_error("%s", error_text(&err, ret));
	} else {
		ret = watch_signals(s, loop);
		announce_export(s);
		if (ret)
			nbd_server_stop(&s->server);
		nbd_server_wait(&s->server);
		loop_del_fd(loop, &s->signals);
	}
	closed = tool_close(s->server.img);
	return ret ? EXIT_FAILED : closed;
}

static int parse_shared(struct serve *s, const char *arg)
{
	uint64_t n;

	if (number_parse(arg, 1000, &n) || !n)
		return tool_usage(&verb_serve, "-e expects a number of clients "
				  "from 1 to 1000, not '%s'", arg);
	s->server.max_clients = (unsigned int)n;
	return 0;
}

static int serve_option(struct serve *s, int id, const char *arg)
{
	switch (id) {
	case 'k': s->server.path = arg; return 0;
	case 'r': s->read_only = true; return 0;
	case 'x': s->server.export_name = arg; return 0;
	case 'e': return parse_shared(s, arg);
	case OPT_ONCE: s->server.once = true; return 0;
	default: return tool_common_option(&s->common, id, arg);
	}
}

static int run_serve(struct loop *loop, int argc, char **argv)
{
	struct serve s = {
		.server = { .export_name = "", .max_clients = MAX_CLIENTS },
	};
	int id;

	while ((id = tool_getopt(&verb_serve, argc, argv)) != -1)
		if (serve_option(&s, id, optarg))
			return EXIT_FAILED;
	if (argc - optind != 1)
		return tool_usage(&verb_serve, "expecting one image file name");
	if (!s.server.path)
		return tool_usage(&verb_serve, "no socket given (-k PATH)");
	if (strlen(s.server.export_name) > NBD_MAX_STRING)
		return tool_usage(&verb_serve, "the export's name is longer "
				  "than %u bytes", NBD_MAX_STRING);
	if (s.common.share && !s.read_only)
		return tool_usage(&verb_serve, "an image that others use (-U) "
				  "can only be served read-only (-r)");
	return serve_image(&s, loop, argv[optind]);
}

const struct verb verb_serve = {
	.name = "serve",
	.summary = "export an image by NBD on a unix socket",
	.usage = "-k PATH FILE",
	.more = "Serves until SIGTERM or SIGINT; what was written is then on "
		"the disk.\nClients: xdisk, qemu-img, nbdcopy, nbd-client with "
		"nbd+unix:///NAME?socket=PATH.",
	.options = options,
	.run = run_serve,
};
