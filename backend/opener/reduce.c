/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reduce.c: see reduce.h. By libcap-ng and prctl(2). */
#include "backend/opener/reduce.h"

#include <errno.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cap-ng.h>

#include "common/bits.h"

/* To pass over permissions, and to do as another user for a while. */
static const unsigned int kept[] = {
	CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SETGID, CAP_SETUID,
};

int reduce_rights(struct error *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return error_set_errno(err, errno, "no_new_privs");
	if (geteuid() != 0)
		return 0;	/* it has none to lose */
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		capng_update(CAPNG_ADD, (capng_type_t)(CAPNG_EFFECTIVE |
			     CAPNG_PERMITTED | CAPNG_BOUNDING_SET), kept[i]);
	if (capng_apply(CAPNG_SELECT_BOTH))
		return error_set_errno(err, EPERM, "capabilities cannot be "
				       "given up");
	return 0;
}
