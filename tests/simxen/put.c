/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* put.c: see put.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/simxen/put.h"

static void put_done(void *ctx, void *cookie, int status)
{
	if (status != BLK_OKAY)
		die("a write failed: %d", status);
}

static void put_wait(struct front *f)
{
	struct queue *q = &f->queue[0];

	queue_push(q);
	while (queue_in_flight(q)) {
		if (queue_reap(q, put_done, NULL) || queue_final_check(q))
			continue;
		if (!front_wait(f, REQUEST_TIMEOUT_MS))
			die("no answer");
	}
}

void put_file(struct front *f, const char *path)
{
	uint32_t ref = pages_alloc(&f->machine, 1, GRANT_WRITABLE);
	struct seg seg = { .gref = ref, .last = PAGE_SECTORS - 1 };
	void *page = page_at(&f->machine, ref);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t sector = 0;
	ssize_t n;

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	while ((n = read(fd, page, SIMXEN_PAGE)) > 0) {
		memset((char *)page + n, 0, SIMXEN_PAGE - n);
		queue_submit(&f->queue[0], BLK_WRITE, sector, &seg, 1, NULL);
		put_wait(f);
		sector += PAGE_SECTORS;
	}
	if (n < 0)
		die("%s: %s", path, strerror(errno));
	close(fd);
	queue_submit(&f->queue[0], BLK_FLUSH, 0, &seg, 0, NULL);
	put_wait(f);
	front_free_pages(f, ref, 1);
}
