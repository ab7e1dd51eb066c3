/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-opts.h: images described by options instead of a path. Each node of the
 * graph has its options behind the name by which the node above knows it:
 *
 *	driver=qcow2,file.filename=a.qcow2,encrypt.key-secret=ID,
 *	backing.file.filename=b.qcow2,backing.encrypt.key-secret=ID2
 *
 *	json:{"driver":"raw","file":{"driver":"qcow2","file.filename":"a"}}
 *
 *	blkdebug:RULES:a.qcow2		driver=blkdebug,config=RULES,
 *					image.filename=a.qcow2 below a format
 *	blkverify:a.raw:a.qcow2		the same of blkverify: raw and test
 *
 * All that is what a person has typed. Names that stand in images never come
 * here: image/graph/path.h.
 */
#ifndef XD_TOOL_IMAGE_OPTS_H
#define XD_TOOL_IMAGE_OPTS_H

#include "common/error.h"
#include "image/image.h"

/* Is a name that a person typed one of those above? */
bool image_opts_is_name(const char *name);

/*
 * co. Judges the options `text` (NULL: none) and what `name` (NULL: none) says
 * besides, and applies both to *opts (cache, flags, node). *path and *format
 * (NULL: not said) are to be opened with them; all of it lives until
 * image_opts_free_all(). -EINVAL with the sentence, -ENOMEM.
 */
int image_opts_parse(struct loop *loop, const char *text, const char *name,
		     struct image_options *opts, const char **path,
		     const char **format, struct error *err);
/* At the program's end. */
void image_opts_free_all(void);

#endif
