/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* child.c: see child.h. What is said over the socket is not known here. */
#include "backend/supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "opener/wire.h"

void child_init(struct child *c)
{
	c->pid = 0;
	c->fd = -1;
}

/* Descriptors out of the way of those that the process will have. */
static int move_up(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, OPENER_FD + 1);
}

static int set_files(posix_spawn_file_actions_t *files, int fd, int opener_fd)
{
	int ret = posix_spawn_file_actions_adddup2(files, fd, WORKER_FD);
	int last = opener_fd < 0 ? WORKER_FD : OPENER_FD;

	if (ret == 0 && opener_fd >= 0)
		ret = posix_spawn_file_actions_adddup2(files, opener_fd,
						       OPENER_FD);
	return ret ? ret :
		     posix_spawn_file_actions_addclosefrom_np(files, last + 1);
}

/*
 * It must not inherit the signals that we block, nor get the Ctrl-C meant for us:
 * the supervisor tells it when to end.
 */
static int spawn(pid_t *pid, const char *const argv[], int fd, int opener_fd)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int ret;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
				 POSIX_SPAWN_SETSIGDEF |
				 POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawn_file_actions_init(&files);
	ret = set_files(&files, fd, opener_fd);
	if (ret == 0)
		ret = posix_spawn(pid, argv[0], &files, &attr,
				  (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -ret;
}

int child_spawn(struct child *c, const char *program,
		const struct start *start, int opener_fd, struct error *err)
{
	cleanup_fd int end = -1, opener_end = move_up(opener_fd);
	struct start_args args;
	int pair[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(err, errno, "a socket for %s", program);
	end = move_up(pair[1]);
	close(pair[1]);
	start_args(&args, program, start);
	ret = spawn(&c->pid, args.argv, end, opener_end);
	if (ret < 0) {
		close(pair[0]);
		child_init(c);
		return error_set_errno(err, -ret, "cannot start %s", program);
	}
	c->fd = pair[0];
	return 0;
}

void child_close(struct child *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void child_kill(struct child *c)
{
	if (c->pid > 0)
		kill(c->pid, SIGKILL);
}

bool child_ended(const struct child *c)
{
	siginfo_t info = { 0 };

	return c->pid > 0 && !waitid(P_PID, (id_t)c->pid, &info,
				     WEXITED | WNOHANG | WNOWAIT) &&
	       info.si_pid == c->pid;
}

bool child_reap(struct child *c, int *status)
{
	if (c->pid <= 0 || waitpid(c->pid, status, WNOHANG) != c->pid)
		return false;
	child_close(c);
	c->pid = 0;
	return true;
}

char *child_find_program(const char *name, struct error *err)
{
	char self[PATH_MAX];
	cleanup_free char *path = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = 0;
		*strrchr(self, '/') = 0;
		if (asprintf(&path, "%s/%s", self, name) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return steal_ptr(&path);
		free(steal_ptr(&path));
	}
	if (asprintf(&path, XD_LIBEXECDIR "/%s", name) < 0)
		return NULL;
	if (access(path, X_OK) == 0)
		return steal_ptr(&path);
	error_set(err, ENOENT, "%s is neither beside this program nor in "
		  XD_LIBEXECDIR, name);
	return NULL;
}
