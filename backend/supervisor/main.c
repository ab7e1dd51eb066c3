/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c: xdiskd: one daemon a run directory. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/supervisor/daemonize.h"
#include "backend/supervisor/options.h"
#include "backend/supervisor/supervisor.h"
#include "common/cleanup.h"
#include "common/log.h"

#define PID_FILE "xdiskd.pid"

static void warn_of_blkback(const struct options *o)
{
	if (o->conf.kinds[KIND_VBD] &&
	    access("/sys/bus/xen-backend/drivers/vbd", F_OK) == 0)
		log_warn("the kernel's xen-blkback is loaded: it takes all "
			 "vbd devices before we can (qdisk is not affected)");
}

/* *fd: the pid file, locked for as long as it is open. */
static int lock_run_dir(const char *run_dir, int *fd, struct error *err)
{
	char path[PATH_MAX];

	if (mkdir(run_dir, 0755) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "%s", run_dir);
	if (snprintf(path, sizeof(path), "%s/" PID_FILE, run_dir) >=
	    (int)sizeof(path))
		return error_set(err, ENAMETOOLONG, "%s: too long", run_dir);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (*fd < 0)
		return error_set_errno(err, errno, "%s", path);
	if (flock(*fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, EBUSY, "another xdiskd is running in %s",
				 run_dir);
	return 0;
}

static int write_pid(int fd, struct error *err)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0 ||
	    pwrite(fd, text, (size_t)n, 0) != n)
		return error_set_errno(err, errno, "pid file");
	return 0;
}

/* Who gets a device of a running guest, QEMU or we, is a matter of who runs
 * first. There is never much to do. Workers go back to the usual priority. */
static void hurry(void)
{
	if (setpriority(PRIO_PROCESS, 0, -20) < 0)
		log_debug("no higher priority: %s", strerror(errno));
}

static int start(struct supervisor *sv, int lock_fd, struct error *err)
{
	int ret;

	hurry();
	ret = supervisor_open(sv, err);
	return ret ?: write_pid(lock_fd, err);
}

static void serve_until_stopped(struct supervisor *sv, const struct options *o,
				int ready_fd)
{
	log_init("xdiskd", o->conf.log_level, o->foreground);
	log_limit();
	warn_of_blkback(o);
	log_info("xdiskd " PACKAGE_VERSION " is ready");
	daemonize_done(ready_fd);
	supervisor_run(sv);
	log_info("stopped");
}

static int run_daemon(const struct options *o)
{
	struct supervisor sv;
	struct error err = ERROR_INIT;
	int lock_fd = -1, ready_fd = -1, ret;

	supervisor_init(&sv, &o->conf, o->foreground);
	log_init("xdiskd", o->conf.log_level, true);
	ret = lock_run_dir(o->conf.run_dir, &lock_fd, &err);
	if (ret == 0) {
		ready_fd = daemonize(o->foreground);
		ret = start(&sv, lock_fd, &err);
	}
	if (ret == 0)
		serve_until_stopped(&sv, o, ready_fd);
	else
		log_error("%s", error_text(&err, ret));
	supervisor_close(&sv);
	if (lock_fd >= 0)
		close(lock_fd);
	return ret || sv.stop_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Relative names would change their meaning with chdir(2). */
static int absolute_run_dir(struct options *o)
{
	cleanup_free char *cwd = NULL;
	char *path;

	if (o->conf.run_dir[0] == '/')
		return 0;
	cwd = getcwd(NULL, 0);
	if (!cwd || asprintf(&path, "%s/%s", cwd, o->conf.run_dir) < 0)
		return -ENOMEM;
	free(o->conf.run_dir);
	o->conf.run_dir = path;
	return 0;
}

int main(int argc, char **argv)
{
	static const int exits[] = {
		[OPTIONS_DONE] = 0, [OPTIONS_USAGE] = 2, [OPTIONS_BAD] = 1,
	};
	struct options o;
	enum options_result result = options_parse(&o, argc, argv);
	int status;

	if (result != OPTIONS_RUN)
		status = exits[result];
	else if (o.check_config)
		status = EXIT_SUCCESS;
	else if (absolute_run_dir(&o) < 0)
		status = EXIT_FAILURE;
	else
		status = run_daemon(&o);
	options_free(&o);
	return status;
}
