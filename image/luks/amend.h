/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * amend.h: keys that are added and erased by options, as QEMU has them.
 *
 *	state=active,new-secret=ID[,keyslot=N][,iter-time=MS]
 *	state=inactive,old-secret=ID | state=inactive,keyslot=N
 */
#ifndef XD_IMAGE_LUKS_AMEND_H
#define XD_IMAGE_LUKS_AMEND_H

#include "image/luks/luks.h"

struct luks_amend {
	const struct image_create_option *options;
	unsigned int nr;
	const char *prefix;	/* of the names; others are passed over */
	const char *key_secret;	/* the image was opened with it */
	bool force;		/* even the last key */
};

/* What is wrong with them, before anything is done. */
int luks_amend_judge(const struct luks_amend *a, struct error *err);
/* co. Nothing is erased unless all that was asked for can be. */
int luks_amend(const struct luks_area *area, const struct luks_amend *a,
	       struct error *err);

#endif
