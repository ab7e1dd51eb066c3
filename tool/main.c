/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk: the tool for disk images.
 *
 * Verbs, options, output and exit statuses are qemu-img's where qemu-img has
 * them. Here: the table of verbs, and finding the one that was asked for.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "io/coroutine.h"
#include "io/loop.h"
#include "image/crypto/secret.h"
#include "tool/image-opts.h"
#include "tool/tool.h"

const struct verb *const tool_verbs[] = {
	&verb_amend,
	&verb_bench,
	&verb_bitmap,
	&verb_check,
	&verb_commit,
	&verb_compact,
	&verb_compare,
	&verb_convert,
	&verb_create,
	&verb_dd,
	&verb_info,
	&verb_io,
	&verb_map,
	&verb_measure,
	&verb_rebase,
	&verb_resize,
	&verb_serve,
	&verb_snapshot,
	&verb_verify,
	NULL,
};

static const struct verb *find_verb(const char *name)
{
	for (int i = 0; tool_verbs[i]; i++)
		if (!strcmp(tool_verbs[i]->name, name))
			return tool_verbs[i];
	return NULL;
}

static void help_program(void)
{
	printf("xdisk %s: disk images and what is in them\n\n"
	       "Usage: xdisk VERB [OPTION...] ...\n\nVerbs:\n",
	       PACKAGE_VERSION);
	for (int i = 0; tool_verbs[i]; i++)
		printf("  %-12s %s\n", tool_verbs[i]->name,
		       tool_verbs[i]->summary);
	puts("  help         tell what a verb does: xdisk help VERB\n"
	     "  completion   print a script for a shell: xdisk completion bash\n"
	     "\nOptions: -h, --help; -V, --version\n"
	     "Sizes are bytes or have a suffix: k, M, G, T, P, E (of 1024).\n");
	printf("Supported formats: %s\nProtocols: %s\n",
	       image_format_names(), image_protocol_names());
}

static void help_option(const struct tool_option *o)
{
	char left[64];

	if (o->id < OPT_OUTPUT && o->name)
		snprintf(left, sizeof(left), "-%c, --%s%s%s", o->id, o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");
	else if (o->name)
		snprintf(left, sizeof(left), "    --%s%s%s", o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");
	else
		snprintf(left, sizeof(left), "-%c %s", o->id,
			 o->arg ? o->arg : "");
	printf("  %-28s %s\n", left, o->help);
}

void tool_help(const struct verb *verb)
{
	if (!verb) {
		help_program();
		return;
	}
	printf("xdisk %s: %s\n\nUsage: xdisk %s [OPTION...] %s\n\nOptions:\n",
	       verb->name, verb->summary, verb->name, verb->usage);
	for (const struct tool_option *o = verb->options; o->id; o++)
		help_option(o);
	for (const struct tool_option *o = tool_every_option; o->id; o++)
		help_option(o);
	if (verb->more)
		printf("\n%s\n", verb->more);
}

static int help(int argc, char **argv)
{
	const struct verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;

	if (argc > 1 && !verb)
		return tool_error("unknown verb '%s'; 'xdisk help' lists them",
				  argv[1]);
	tool_help(verb);
	return EXIT_OK;
}

static int complete(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "bash"))
		return tool_error("usage: xdisk completion bash");
	tool_complete_bash();
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

static int dispatch(int argc, char **argv)
{
	struct call c = { .argc = argc, .argv = argv };
	int ret;

	c.verb = find_verb(argv[0]);
	if (!c.verb)
		return tool_error("unknown verb '%s'; 'xdisk help' lists them",
				  argv[0]);
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

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	int ret;

	log_init("xdisk", LOG_LEVEL_WARN, true);
	signal(SIGPIPE, SIG_IGN);
	if (!*name) {
		tool_error("no verb given; 'xdisk help' lists them");
		return EXIT_FAILED;
	}
	if (!strcmp(name, "help"))
		ret = help(argc - 1, argv + 1);
	else if (!strcmp(name, "-h") || !strcmp(name, "--help"))
		ret = help(1, argv);
	else if (!strcmp(name, "-V") || !strcmp(name, "--version"))
		ret = printf("xdisk %s\n", PACKAGE_VERSION) < 0;
	else if (!strcmp(name, "completion"))
		ret = complete(argc - 1, argv + 1);
	else
		ret = dispatch(argc - 1, argv + 1);
	if (fflush(stdout) && !ret)
		ret = tool_error("cannot write the output: %s",
				 strerror(errno));
	return ret;
}
