/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* domains.c: see domains.h. The one file that needs libxenctrl, whose ABI
 * changes with Xen's version. */
#include "config.h"

#include "backend/supervisor/domains.h"

#include <stddef.h>

#include <xenctrl.h>

#ifdef HAVE_XC_DOMAIN_GETINFO_SINGLE	/* Xen 4.18 and later */
static bool dying_or_gone(xc_interface *xc, uint32_t domid)
{
	xc_domaininfo_t info;

	return xc_domain_getinfo_single(xc, domid, &info) < 0 ||
	       (info.flags & XEN_DOMINF_dying);
}
#else
static bool dying_or_gone(xc_interface *xc, uint32_t domid)
{
	xc_dominfo_t info;

	return xc_domain_getinfo(xc, domid, 1, &info) != 1 ||
	       info.domid != domid || info.dying;
}
#endif

struct domains *domains_open(void)
{
	return (struct domains *)xc_interface_open(NULL, NULL, 0);
}

void domains_close(struct domains *d)
{
	if (d)
		xc_interface_close((xc_interface *)d);
}

bool domains_alive(struct domains *d, uint32_t domid)
{
	return !d || !dying_or_gone((xc_interface *)d, domid);
}
