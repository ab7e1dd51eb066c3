/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* error.c: see error.h. */
#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int errnum, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
		va_end(ap);
	}
	return -errnum;
}

int error_set_errno(struct error *err, int errnum, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
		va_end(ap);
		n = strlen(err->msg);
		snprintf(err->msg + n, sizeof(err->msg) - n, ": %s",
			 strerror(errnum));
	}
	return -errnum;
}

int error_prefix(struct error *err, int ret, const char *fmt, ...)
{
	struct error tail;
	va_list ap;
	size_t n;

	if (!err)
		return ret;
	snprintf(tail.msg, sizeof(tail.msg), "%s", error_text(err, ret));
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	n = strlen(err->msg);
	snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", tail.msg);
	return ret;
}

const char *error_text(const struct error *err, int ret)
{
	if (err && err->msg[0])
		return err->msg;
	return strerror(-ret);
}

int error_reason(struct error *err, int ret)
{
	return err && !err->msg[0] ? error_set(err, -ret, "%s", strerror(-ret)) :
				     ret;
}

int error_where(struct error *err, int ret, const char *where)
{
	if (!ret || !err || err->msg[0])
		return ret;
	return error_set_errno(err, -ret, "%s", where);
}
