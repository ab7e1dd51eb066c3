/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * authority.c: see authority.h.
 *
 * The C library's functions change all threads; the system calls below it change
 * one. With a file system user other than root the kernel takes the capabilities
 * away that pass over permissions, and gives them back afterwards
 * (capabilities(7)). Groups go first and come back last: that needs a
 * capability which stays.
 */
#include "opener/authority.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_GROUPS 256		/* more are not looked at */

static __thread bool taken;

static void groups_of(uid_t uid, gid_t *primary, gid_t *groups, int *nr)
{
	struct passwd pw, *found = NULL;
	char text[4096];

	*nr = 0;
	*primary = (gid_t)uid;
	if (getpwuid_r(uid, &pw, text, sizeof(text), &found) || !found)
		return;		/* a number without a name has no groups */
	*primary = pw.pw_gid;
	*nr = MOST_GROUPS;
	if (getgrouplist(pw.pw_name, pw.pw_gid, groups, nr) < 0)
		*nr = MOST_GROUPS;
}

int authority_take(uid_t uid)
{
	gid_t groups[MOST_GROUPS], primary;
	int nr;

	if (uid == 0 || geteuid() != 0)
		return 0;
	groups_of(uid, &primary, groups, &nr);
	if (syscall(SYS_setgroups, nr, groups))
		return -errno;
	taken = true;
	setfsgid(primary);
	setfsuid(uid);
	if ((uid_t)setfsuid((uid_t)-1) == uid)
		return 0;
	authority_drop();
	return -EPERM;
}

void authority_drop(void)
{
	if (!taken)
		return;
	taken = false;
	setfsuid(geteuid());
	setfsgid(getegid());
	/* Root passes over permissions; it needs no groups. */
	syscall(SYS_setgroups, 0, NULL);
}
