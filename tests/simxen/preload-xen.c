/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preload-xen.c: the rest of the hypervisor that xenstored and QEMU ask for:
 * which domains there are, two files of /proc/xen, and handles that do nothing.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#include <sys/syscall.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenforeignmemory.h>
#include <xentoolcore.h>

#include "tests/simxen/preload.h"

int open64(const char *path, int flags, ...);

static char handle;	/* its address stands for every open handle */

xc_interface *xc_interface_open(xentoollog_logger *logger,
				xentoollog_logger *dombuild_logger,
				unsigned int open_flags)
{
	return (xc_interface *)&handle;
}

int xc_interface_close(xc_interface *xch)
{
	return 0;
}

/* What a domain's life flags say; false when there is no such domain. Nothing
 * of it stays open: who only asks does not hold a domain. */
static bool domain_info(uint32_t domid, xc_domaininfo_t *info)
{
	struct simxen_grants g = { 0 };
	char path[128];
	int fd;

	memset(info, 0, sizeof(*info));
	info->domain = domid;
	if (domid == 0)
		return true;
	if (!preload_path(path, sizeof(path), "grants.%u", domid))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &g, sizeof(g)) != sizeof(g))
		g.alive = 0;
	close(fd);
	info->flags = (g.dying ? XEN_DOMINF_dying : 0) |
		      (g.shutdown ? XEN_DOMINF_shutdown : 0) |
		      g.shutdown_reason << XEN_DOMINF_shutdownshift;
	return g.alive;
}

#ifdef HAVE_XC_DOMAIN_GETINFO_SINGLE	/* Xen 4.18 and later */
int xc_domain_getinfo_single(xc_interface *xch, uint32_t domid,
			     xc_domaininfo_t *info)
{
	if (domid < SIMXEN_MAX_DOMID && domain_info(domid, info))
		return 0;
	errno = ESRCH;
	return -1;
}
#else
static void dominfo(const xc_domaininfo_t *from, xc_dominfo_t *to)
{
	memset(to, 0, sizeof(*to));
	to->domid = from->domain;
	to->dying = !!(from->flags & XEN_DOMINF_dying);
	to->shutdown = !!(from->flags & XEN_DOMINF_shutdown);
	to->shutdown_reason = (from->flags >> XEN_DOMINF_shutdownshift) &
			      XEN_DOMINF_shutdownmask;
}

int xc_domain_getinfo(xc_interface *xch, uint32_t first_domid,
		      unsigned int max_doms, xc_dominfo_t *info)
{
	xc_domaininfo_t one;
	uint32_t domid;
	unsigned int n = 0;

	for (domid = first_domid; n < max_doms && domid < SIMXEN_MAX_DOMID;
	     domid++) {
		if (domain_info(domid, &one))
			dominfo(&one, &info[n++]);
		else if (max_doms == 1)
			break;
	}
	if (!n)
		errno = ESRCH;
	return n ? (int)n : -1;
}
#endif

int xc_domain_getinfolist(xc_interface *xch, uint32_t first_domain,
			  unsigned int max_domains, xc_domaininfo_t *list)
{
	uint32_t domid;
	unsigned int n = 0;

	for (domid = first_domain; n < max_domains && domid < SIMXEN_MAX_DOMID;
	     domid++) {
		if (domain_info(domid, &list[n]))
			n++;
	}
	return n;
}

xenforeignmemory_handle *xenforeignmemory_open(xentoollog_logger *logger,
					       unsigned int open_flags)
{
	return (xenforeignmemory_handle *)&handle;
}

int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
	return 0;
}

xendevicemodel_handle *xendevicemodel_open(xentoollog_logger *logger,
					   unsigned int open_flags)
{
	return (xendevicemodel_handle *)&handle;
}

int xendevicemodel_close(xendevicemodel_handle *dmod)
{
	return 0;
}

int xentoolcore_restrict_all(domid_t domid)
{
	return 0;
}

/* xenstored finds dom0's own ring through these two. */
static const char *redirect(const char *path, char *buf, size_t size)
{
	if (!path || strncmp(path, "/proc/xen/", 10) != 0)
		return path;
	if (strcmp(path + 10, "xsd_port") && strcmp(path + 10, "xsd_kva"))
		return path;
	return preload_path(buf, size, "%s", path + 10) ? buf : path;
}

static int do_open(const char *path, int flags, mode_t mode)
{
	char buf[128];

	return syscall(SYS_openat, AT_FDCWD, redirect(path, buf, sizeof(buf)),
		       flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return do_open(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return do_open(path, flags | O_LARGEFILE, mode);
}
