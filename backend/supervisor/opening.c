/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* opening.c: see opening.h. */
#include "backend/supervisor/opening.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"

void opening_init(struct opening *o, char *program)
{
	o->program = program;
	child_init(&o->child);
	child_init(&o->dying);
}

void opening_close(struct opening *o)
{
	child_close(&o->child);
	free(o->program);
	o->program = NULL;
}

static void reap_one(struct child *c)
{
	int status;

	if (child_reap(c, &status))
		log_error("the opener of files has ended (%s %d); it is started "
			  "again when it is needed", WIFSIGNALED(status) ?
			  "signal" : "status", WIFSIGNALED(status) ?
			  WTERMSIG(status) : WEXITSTATUS(status));
}

void opening_reap(struct opening *o)
{
	reap_one(&o->dying);
	reap_one(&o->child);
}

/* Its socket has ended, it has not quite. */
static void give_up_on(struct opening *o)
{
	opening_reap(o);
	if (!child_alive(&o->child))
		return;
	child_close(&o->child);
	o->dying = o->child;
	child_init(&o->child);
}

static int hand_over(struct opening *o, const struct start *start,
		     const struct disk_arguments *image, int fd,
		     struct error *err)
{
	struct start own = *start;
	int ret = -EPIPE;

	own.name = "";
	own.domid = NO_DOMID;
	own.uid = 0;
	if (child_alive(&o->child))
		ret = message_send_fd(o->child.fd, disk_arguments_pack(image),
				      fd);
	if (ret != -EPIPE)
		return ret;
	give_up_on(o);
	ret = child_spawn(&o->child, o->program, &own, -1, err);
	return ret ? ret : message_send_fd(o->child.fd,
					   disk_arguments_pack(image), fd);
}

int opening_begin(struct opening *o, const struct start *start,
		  const struct disk_arguments *image, int *fd,
		  struct error *err)
{
	int pair[2], ret;

	*fd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(err, errno, "a socket for the opener");
	ret = hand_over(o, start, image, pair[1], err);
	close(pair[1]);
	if (ret == 0) {
		*fd = pair[0];
		return 0;
	}
	close(pair[0]);
	if (!err->msg[0])
		error_set_errno(err, -ret, "the opener of files takes nothing");
	return ret;
}
