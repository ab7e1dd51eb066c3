/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.h: what the administrator has asked for: command line, then
 * xdisk.conf(5), then the defaults.
 */
#ifndef XD_SUPERVISOR_OPTIONS_H
#define XD_SUPERVISOR_OPTIONS_H

#include "backend/conf.h"

struct options {
	struct conf conf;
	bool foreground;
	bool check_config;
};

enum options_result {
	OPTIONS_RUN,	/* go on */
	OPTIONS_DONE,	/* --help, --version: printed, exit 0 */
	OPTIONS_USAGE,	/* said what is wrong on stderr, exit 2 */
	OPTIONS_BAD,	/* the file is unreadable or wrong, exit 1 */
};

/* options_free() it whatever the result. */
enum options_result options_parse(struct options *o, int argc, char **argv);
void options_free(struct options *o);

#endif
