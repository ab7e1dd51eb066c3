/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * authority.h: this thread does as another user for a while, as far as files go.
 */
#ifndef XD_OPENER_AUTHORITY_H
#define XD_OPENER_AUTHORITY_H

#include <sys/types.h>

/* From now on files are found and opened with that user's rights and groups, in
 * this thread alone; without effect, and 0, for whoever is not root, and for
 * root's own. -errno: nothing has changed. */
int authority_take(uid_t uid);
/* ...and with those of this process again. */
void authority_drop(void);

#endif
