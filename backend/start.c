/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* start.c: see start.h. */
#include "backend/start.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/protocol.h"
#include "common/bits.h"
#include "common/size.h"

static const char *const sandbox_names[SANDBOX_NR] = {
	[SANDBOX_OFF] = "off", [SANDBOX_LOG] = "log", [SANDBOX_ON] = "on",
};

int sandbox_parse(const char *name, enum sandbox *sandbox)
{
	for (int i = 0; i < SANDBOX_NR; i++) {
		if (!strcmp(name, sandbox_names[i])) {
			*sandbox = (enum sandbox)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *sandbox_name(enum sandbox sandbox)
{
	return sandbox_names[sandbox];
}

void start_args(struct start_args *a, const char *program,
		const struct start *start)
{
	const char **arg = a->argv;

	*arg++ = program;
	*arg++ = "--name";
	*arg++ = start->name;
	*arg++ = "--log-level";
	*arg++ = log_level_name(start->log_level);
	if (start->log_stderr)
		*arg++ = "--log-stderr";
	if (start->domid != NO_DOMID) {
		snprintf(a->domid, sizeof(a->domid), "%u", start->domid);
		*arg++ = "--domid";
		*arg++ = a->domid;
	}
	*arg++ = "--sandbox";
	*arg++ = sandbox_name(start->sandbox);
	snprintf(a->uid, sizeof(a->uid), "%u", (unsigned int)start->uid);
	*arg++ = "--uid";
	*arg++ = a->uid;
	*arg = NULL;
}

static const struct option long_options[] = {
	{ "name", required_argument, NULL, 'n' },
	{ "log-level", required_argument, NULL, 'l' },
	{ "log-stderr", no_argument, NULL, 's' },
	{ "domid", required_argument, NULL, 'd' },
	{ "sandbox", required_argument, NULL, 'b' },
	{ "uid", required_argument, NULL, 'u' },
	{ NULL, 0, NULL, 0 },
};

static int take_number(const char *text, uint32_t *number)
{
	uint64_t n;
	int ret = decimal_parse(text, UINT32_MAX - 1, &n);

	if (ret == 0)
		*number = (uint32_t)n;
	return ret;
}

static int take_option(struct start *s, int opt, const char *value)
{
	switch (opt) {
	case 'n':
		s->name = value;
		return 0;
	case 'l':
		return log_parse_level(value, &s->log_level);
	case 's':
		s->log_stderr = true;
		return 0;
	case 'd':
		return take_number(value, &s->domid);
	case 'b':
		return sandbox_parse(value, &s->sandbox);
	case 'u':
		return take_number(value, &s->uid);
	}
	return -EINVAL;
}

static bool has_control_socket(void)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(WORKER_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_SEQPACKET;
}

int start_parse(struct start *start, int argc, char **argv)
{
	int opt, ret = 0;

	*start = (struct start){
		.name = "", .log_level = LOG_LEVEL_INFO, .domid = NO_DOMID,
		.sandbox = SANDBOX_ON,
	};
	opterr = 0;
	while (ret == 0 &&
	       (opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		ret = take_option(start, opt, optarg);
	return ret || optind < argc || !has_control_socket() ? -EINVAL : 0;
}

int start_usage(const char *program)
{
	fprintf(stderr, "%s is started by xdiskd(8).\n", program);
	return 2;
}
