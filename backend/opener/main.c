/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * main.c: xdisk-opener: opens the files of images for workers, which may not.
 *
 *	supervisor --IMAGE and a socket--> main() --> a thread --> worker
 *
 * open(2) may hang for as long as a server is away: so each worker has a thread
 * of its own here, and the supervisor waits for none. What a worker asks for is
 * judged by opener/policy.h; of the supervisor's messages only their form is.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/arguments.h"
#include "backend/opener/reduce.h"
#include "backend/protocol.h"
#include "backend/start.h"
#include "common/bits.h"
#include "common/log.h"
#include "common/printable.h"
#include "opener/local.h"
#include "opener/wire.h"

#define STACK_SIZE (256u * 1024)

/* ---- the files of one image, for one worker ---- */

struct session {
	struct opener opener;		/* what the worker asks */
	struct local_opener local;	/* what is asked for it */
	struct policy policy;
	struct disk_arguments image;
	json_t *msg;			/* the arguments' */
	int fd;
};

static void session_free(struct session *s)
{
	local_opener_clear(&s->local);
	disk_arguments_free(&s->image);
	json_decref(s->msg);
	close(s->fd);
	free(s);
}

/* What the configuration names is not asked for by name. */
static int session_open(struct opener *opener, const struct opener_ask *asked,
			struct opened *out, struct error *err)
{
	struct session *s = container_of(opener, struct session, opener);
	struct opener_ask ask = *asked;

	if (ask.purpose == OPENER_IMAGE || ask.purpose == OPENER_SECRET) {
		ask.by = NULL;
		ask.name = ask.purpose == OPENER_IMAGE ? s->image.path :
							 s->image.secret_file;
	} else if (!ask.by) {
		ask.by = "";		/* nobody's word opens nothing */
	}
	*out = (struct opened)OPENED_INIT;
	if (!ask.name && ask.purpose == OPENER_SECRET)
		return error_set(err, EPERM, "no secret-file is configured");
	if (ask.write && (s->image.readonly || ask.purpose == OPENER_SECRET))
		return error_set(err, EPERM, "'%.200s' is only to be read",
				 ask.name);
	return s->local.opener.open(&s->local.opener, &ask, out, err);
}

static void *session_main(void *arg)
{
	struct session *s = arg;
	int ret;

	do
		ret = wire_serve(s->fd, &s->opener);
	while (ret == 0);
	if (ret != -ECONNRESET)
		log_error("the worker of %s: %s", s->image.path,
			  strerror(-ret));
	session_free(s);
	return NULL;
}

/* Takes msg and fd over. */
static struct session *session_new(json_t *msg, int fd)
{
	struct session *s = calloc(1, sizeof(*s));
	int ret;

	if (!s) {
		json_decref(msg);
		close(fd);
		return NULL;
	}
	s->msg = msg;
	s->fd = fd;
	s->opener.open = session_open;
	ret = disk_arguments_unpack(msg, &s->image);
	if (ret == 0)
		ret = policy_parse_data_file(s->image.data_file ?: "none",
					     &s->policy);
	if (ret) {
		session_free(s);
		return NULL;
	}
	s->policy.image_dirs = s->image.image_dirs;
	s->policy.where = s->image.section;
	local_opener_init(&s->local, &s->policy, true);
	return s;
}

/* ---- the process ---- */

static int start_session(json_t *msg, int fd)
{
	struct session *s = session_new(msg, fd);
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	if (!s)
		return -EPROTO;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	ret = -pthread_create(&thread, &attr, session_main, s);
	pthread_attr_destroy(&attr);
	if (ret)
		session_free(s);
	return ret;
}

/* The worker notices that its socket ends. */
static void serve(void)
{
	json_t *msg;
	int fd, ret;

	while ((ret = message_wait_fd(WORKER_FD, &msg, &fd)) != -ECONNRESET) {
		if (ret == 0)
			ret = start_session(msg, fd);
		else if (fd >= 0)
			close(fd);
		if (ret)
			log_error("an image's files cannot be opened: %s",
				  strerror(-ret));
		if (ret && ret != -EPROTO && ret != -ENOMEM && ret != -EAGAIN)
			return;		/* of the socket: it is started again */
	}
}

int main(int argc, char **argv)
{
	struct start start;
	struct error err = ERROR_INIT;
	int ret;

	if (start_parse(&start, argc, argv) < 0)
		return start_usage("xdisk-opener");
	log_init("xdisk-opener", start.log_level, start.log_stderr);
	if (setpriority(PRIO_PROCESS, 0, 0) < 0)	/* the supervisor's */
		log_debug("setpriority: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);	/* the supervisor's end is ours */
	ret = reduce_rights(&err);
	if (ret) {
		log_error("%s", error_text(&err, ret));
		return EXIT_FAILURE;
	}
	serve();
	return EXIT_SUCCESS;
}
