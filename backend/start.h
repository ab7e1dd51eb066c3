/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * start.h: the command line by which the supervisor starts its processes:
 *
 *	PROGRAM --name NAME --log-level LEVEL [--log-stderr] [--domid N]
 *		[--sandbox MODE] [--uid N]
 */
#ifndef XD_BACKEND_START_H
#define XD_BACKEND_START_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/log.h"

/* How much a worker is confined. */
enum sandbox { SANDBOX_OFF, SANDBOX_LOG, SANDBOX_ON, SANDBOX_NR };

/* "off", "log", "on"; -EINVAL. */
int sandbox_parse(const char *name, enum sandbox *sandbox);
const char *sandbox_name(enum sandbox sandbox);

#define NO_DOMID UINT32_MAX

struct start {
	const char *name;		/* of the object, in every log line */
	enum log_level log_level;
	bool log_stderr;
	uint32_t domid;			/* NO_DOMID: no rings will be mapped */
	enum sandbox sandbox;
	uid_t uid;			/* to become, and the group; 0: stay */
};

/* argv[] for `program`, ended by NULL: into text[], and `texts` for what has to be
 * written out. */
#define START_ARGS 14
struct start_args {
	const char *argv[START_ARGS];
	char domid[12], uid[12];
};
void start_args(struct start_args *a, const char *program,
		const struct start *start);

/* -EINVAL: this is not how the supervisor starts us. */
int start_parse(struct start *start, int argc, char **argv);
/* Says so; the exit status. */
int start_usage(const char *program);

#endif
