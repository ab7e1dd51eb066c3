/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* state.c: may an image still be written to? */
#include "image/qcow2/core/state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "image/qcow2/core/qcow2.h"

/* what NULL: the caller logs it. */
static int set_write_state(struct qcow2 *q, enum qcow2_state state, int error,
			   const char *what)
{
	if (q->state > QCOW2_STOPPED && state <= q->state)
		return error;
	if (q->state == QCOW2_WRITABLE && what)
		log_error("%s: %s failed: %s: no more writes to this image",
			  q->img->path, what, strerror(-error));
	q->state = state;
	q->write_error = error;
	return error;
}

int qcow2_stop(struct qcow2 *q, int error, const char *what)
{
	return set_write_state(q, QCOW2_STOPPED, error, what);
}

int qcow2_lose(struct qcow2 *q, int error, const char *what)
{
	return set_write_state(q, QCOW2_LOST, error, what);
}

static int flush_file(struct qcow2 *q, struct image *file)
{
	int ret = image_flush(file);

	return ret ? qcow2_lose(q, ret, "writing metadata") : 0;
}

int qcow2_barrier(struct qcow2 *q)
{
	return flush_file(q, q->file);
}

int qcow2_data_barrier(struct qcow2 *q)
{
	return flush_file(q, q->data);
}

void qcow2_resume(struct qcow2 *q)
{
	set_write_state(q, QCOW2_WRITABLE, 0, NULL);
}

int qcow2_corrupt(struct qcow2 *q, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (q->state == QCOW2_CORRUPT)
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s: the image is corrupt: %s%s", q->img->path, text,
		  q->img->flags & IMAGE_RDWR ?
			  "; no more writes to it: run xdisk check" : "");
	return set_write_state(q, QCOW2_CORRUPT, -EIO, NULL);
}

void qcow2_tell(struct qcow2 *q, enum log_level level, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (q->told)
		return;
	q->told = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_write(NULL, level, "%s: %s", q->img->path, text);
}
