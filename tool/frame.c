/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* frame.c: see frame.h. */
#include "config.h"

#include "tool/frame.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "image/crypto/secret.h"
#include "io/coroutine.h"
#include "io/loop.h"
#include "tool/image-opts.h"
#include "tool/message.h"

/* NULL: printed that there is none. */
static const struct verb *find_verb(const struct verb *const *verbs,
				    const char *name)
{
	for (; *verbs; verbs++)
		if (!strcmp((*verbs)->name, name))
			return *verbs;
	tool_error("unknown verb '%s'; 'xdisk help' lists them", name);
	return NULL;
}

static int print_help(const struct verb *const *verbs, const char *name)
{
	const struct verb *verb;

	if (!name) {
		tool_help_program(verbs);
		return EXIT_OK;
	}
	verb = find_verb(verbs, name);
	if (!verb)
		return EXIT_FAILED;
	tool_help_verb(verb);
	return EXIT_OK;
}

static int print_completion(const struct verb *const *verbs, int argc,
			    char **argv)
{
	if (argc != 2 || strcmp(argv[1], "bash"))
		return tool_error("usage: xdisk completion bash");
	tool_complete_bash(verbs);
	return EXIT_OK;
}

struct call {
	const struct verb *verb;
	struct loop *loop;
	int argc;
	char **argv;
};

static int run_verb(void *arg)
{
	const struct call *c = arg;

	return c->verb->run(c->loop, c->argc, c->argv);
}

static int dispatch(const struct verb *const *verbs, int argc, char **argv)
{
	struct call c = { .argc = argc, .argv = argv };
	int ret;

	c.verb = find_verb(verbs, argv[0]);
	if (!c.verb)
		return EXIT_FAILED;
	c.loop = loop_new();
	if (!c.loop)
		return tool_error("cannot make an event loop: %s",
				  strerror(errno));
	ret = co_run(c.loop, run_verb, &c);
	if (ret < 0)
		ret = tool_error("%s", strerror(-ret));
	loop_free(c.loop);
	image_opts_free_all();
	secret_forget_all();
	return ret;
}

int tool_main(const struct verb *const *verbs, int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	int ret;

	log_init("xdisk", LOG_LEVEL_WARN, true);
	signal(SIGPIPE, SIG_IGN);
	if (!*name)
		return tool_error("no verb given; 'xdisk help' lists them");
	if (!strcmp(name, "help"))
		ret = print_help(verbs, argv[2]);
	else if (!strcmp(name, "-h") || !strcmp(name, "--help"))
		ret = print_help(verbs, NULL);
	else if (!strcmp(name, "-V") || !strcmp(name, "--version"))
		ret = printf("xdisk %s\n", PACKAGE_VERSION) < 0;
	else if (!strcmp(name, "completion"))
		ret = print_completion(verbs, argc - 1, argv + 1);
	else
		ret = dispatch(verbs, argc - 1, argv + 1);
	if (fflush(stdout) && !ret)
		ret = tool_error("cannot write the output: %s",
				 strerror(errno));
	return ret;
}
