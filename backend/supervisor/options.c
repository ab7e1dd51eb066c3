/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.c: see options.h.
 *
 * The command line is read twice: first for --config, then, over what the file
 * said, for all the rest.
 */
#include "config.h"

#include "backend/supervisor/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/io-modes.h"

static const char usage[] =
	"usage: xdiskd [OPTION]...\n"
	"Serves the disks of Xen guests: claims them in xenstore and runs one\n"
	"xdisk-worker for each.\n\n"
	"  -f, --foreground      stay in the foreground, log to stderr\n"
	"  -c, --config FILE     read FILE (" XD_SYSCONFDIR "/xdisk.conf)\n"
	"      --run-dir DIR     pid file and sockets (" XD_RUNDIR ")\n"
	"      --kinds LIST      kinds of devices to serve (qdisk,vbd)\n"
	"      --cache MODE      auto, none, writeback, writethrough,\n"
	"                        directsync, unsafe (auto)\n"
	"      --aio ENGINE      " AIO_ENGINES(", ", "libaio") " (auto)\n"
	"      --sandbox MODE    on, log, off: how workers are confined (on)\n"
	"      --log-level LEVEL error, warn, info, debug (info)\n"
	"      --check-config    only check the configuration\n"
	"  -V, --version\n"
	"  -h, --help\n\n"
	"Exit status: 0 stopped on request, 1 failure, 2 wrong usage.\n";

enum {
	OPT_RUN_DIR = 256, OPT_KINDS, OPT_CACHE, OPT_AIO, OPT_LOG_LEVEL,
	OPT_CHECK_CONFIG, OPT_SANDBOX,
};

static const struct option long_options[] = {
	{ "foreground", no_argument, NULL, 'f' },
	{ "config", required_argument, NULL, 'c' },
	{ "run-dir", required_argument, NULL, OPT_RUN_DIR },
	{ "kinds", required_argument, NULL, OPT_KINDS },
	{ "cache", required_argument, NULL, OPT_CACHE },
	{ "aio", required_argument, NULL, OPT_AIO },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "sandbox", required_argument, NULL, OPT_SANDBOX },
	{ "check-config", no_argument, NULL, OPT_CHECK_CONFIG },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};
static const char short_options[] = "fc:Vh";

/* What stands in the file's words is judged as if it did. */
static int set_option(struct options *o, int opt, const char *value,
		      struct error *err)
{
	switch (opt) {
	case 'f':
		o->foreground = true;
		return 0;
	case 'c':
		return 0;	/* first_round() */
	case OPT_RUN_DIR:
		return conf_set(&o->conf, "xdiskd", "run-dir", value, err);
	case OPT_KINDS:
		return conf_set(&o->conf, "xdiskd", "kinds", value, err);
	case OPT_CACHE:
		return conf_set(&o->conf, "defaults", "cache", value, err);
	case OPT_AIO:
		return conf_set(&o->conf, "defaults", "aio", value, err);
	case OPT_LOG_LEVEL:
		return conf_set(&o->conf, "xdiskd", "log-level", value, err);
	case OPT_SANDBOX:
		return conf_set(&o->conf, "xdiskd", "sandbox", value, err);
	case OPT_CHECK_CONFIG:
		o->check_config = true;
		return 0;
	}
	return -EINVAL;
}

/* For what must be known before the file is read; *file stays argv's. */
static enum options_result first_round(const char **file, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, short_options, long_options,
				  NULL)) != -1) {
		switch (opt) {
		case 'h':
			fputs(usage, stdout);
			return OPTIONS_DONE;
		case 'V':
			puts("xdiskd " PACKAGE_VERSION);
			return OPTIONS_DONE;
		case '?':
			fputs("Try xdiskd --help.\n", stderr);
			return OPTIONS_USAGE;
		case 'c':
			*file = optarg;
			break;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "xdiskd: unexpected argument \"%s\". Try "
			"xdiskd --help.\n", argv[optind]);
		return OPTIONS_USAGE;
	}
	return OPTIONS_RUN;
}

static enum options_result second_round(struct options *o, int argc,
					char **argv)
{
	struct error err = ERROR_INIT;
	int opt, ret;

	optind = 1;
	while ((opt = getopt_long(argc, argv, short_options, long_options,
				  NULL)) != -1) {
		ret = set_option(o, opt, optarg, &err);
		if (ret < 0) {
			fprintf(stderr, "xdiskd: %s: %s\n", argv[optind - 1],
				error_text(&err, ret));
			return OPTIONS_USAGE;
		}
	}
	return OPTIONS_RUN;
}

enum options_result options_parse(struct options *o, int argc, char **argv)
{
	struct error err = ERROR_INIT;
	const char *file = NULL;
	enum options_result result = first_round(&file, argc, argv);
	int ret;

	memset(o, 0, sizeof(*o));
	ret = conf_init(&o->conf, file);
	if (result != OPTIONS_RUN)
		return result;
	if (ret == 0)
		ret = conf_read(&o->conf, NULL, &err);
	if (ret == -ENOENT && !file)
		ret = 0;
	if (ret < 0) {
		fprintf(stderr, "xdiskd: %s\n", error_text(&err, ret));
		return OPTIONS_BAD;
	}
	return second_round(o, argc, argv);
}

void options_free(struct options *o)
{
	conf_free(&o->conf);
}
