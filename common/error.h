/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * error.h: an errno and the sentence that explains it.
 *
 * Functions return 0 or -errno. One that can fail for a reason a person must
 * understand also takes a `struct error *`: it fills in a sentence that names
 * the object, the value and what would be right. `err` may be NULL. The text
 * carries no program name and no newline. Whoever gets the error last prints
 * it once; those in between may put a prefix before it.
 */
#ifndef XD_COMMON_ERROR_H
#define XD_COMMON_ERROR_H

struct error {
	char msg[1024];
};

#define ERROR_INIT { "" }

/* Replaces the sentence; returns -errnum, to be returned at once. */
int error_set(struct error *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with ": strerror(errnum)" behind it. */
int error_set_errno(struct error *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* strerror(-ret) where nobody wrote a sentence; returns ret unchanged. */
int error_reason(struct error *err, int ret);
/* "where: strerror(-ret)" then; 0 is no error. */
int error_where(struct error *err, int ret, const char *where);

/* Puts "prefix: " before the sentence; returns ret unchanged. */
int error_prefix(struct error *err, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The sentence, or strerror(-ret) where nobody wrote one. */
const char *error_text(const struct error *err, int ret);

#endif
