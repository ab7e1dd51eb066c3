/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daemonize.c: see daemonize.h. */
#include "backend/supervisor/daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

int daemonize(bool foreground)
{
	int pair[2];
	char ok = 0;
	pid_t pid;

	if (foreground)
		return -1;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid != 0) {
		close(pair[1]);
		_exit(pid > 0 && read(pair[0], &ok, 1) == 1 ? 0 : 1);
	}
	close(pair[0]);
	setsid();
	if (chdir("/") < 0)
		log_warn("chdir /: %s", strerror(errno));
	return pair[1];
}

void daemonize_done(int ready_fd)
{
	int null;

	if (ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(ready_fd, "", 1) != 1)
		log_warn("nobody waited for us to get ready");
	close(ready_fd);
}
