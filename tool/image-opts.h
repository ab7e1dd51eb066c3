/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-opts.h: --image-opts, an image described by options instead of a path:
 *
 *	driver=qcow2,file.filename=a.qcow2,encrypt.key-secret=ID,
 *	backing.file.filename=b.qcow2,backing.encrypt.key-secret=ID2
 */
#ifndef XD_TOOL_IMAGE_OPTS_H
#define XD_TOOL_IMAGE_OPTS_H

#include "common/error.h"
#include "image/image.h"

/*
 * Judges the text and applies it to *opts (cache, flags, node). *path and
 * *format (NULL: not said) are to be opened with them; all of it lives until
 * image_opts_free_all(). -EINVAL with the sentence, -ENOMEM.
 */
int image_opts_parse(const char *text, struct image_options *opts,
		     const char **path, const char **format,
		     struct error *err);
/* At the program's end. */
void image_opts_free_all(void);

#endif
