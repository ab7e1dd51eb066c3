/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake-xen.c: see fake-xen.h. */
#include "tests/unit/fake-xen.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>

#define PAGE 4096
#define LOCAL_PORT 100

struct fake_xen fake;

struct xenevtchn_handle {
	int fd;
};

static char memory[FAKE_GRANTS][PAGE] __attribute__((aligned(PAGE)));

void fake_reset(void)
{
	fake_reset_first(FAKE_GRANTS);
}

void fake_reset_first(unsigned int n)
{
	memset(&fake, 0, offsetof(struct fake_xen, grant));
	memset(fake.grant, 0, n * sizeof(fake.grant[0]));
	memset(memory, 0, n * (size_t)PAGE);
}

void *fake_page(uint32_t gref)
{
	return memory[gref];
}

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger,
				 unsigned int flags)
{
	fake.handles++;
	return (xengnttab_handle *)&fake;
}

int xengnttab_close(xengnttab_handle *xgt)
{
	fake.handles--;
	return 0;
}

static bool may_map(uint32_t domid, uint32_t ref, int prot)
{
	if (domid != FAKE_DOMID || ref >= FAKE_GRANTS)
		return false;
	return !fake.grant[ref].unmappable && !fake.grant[ref].status &&
	       !(fake.grant[ref].readonly && (prot & PROT_WRITE));
}

/* Several pages come out side by side only if their references are. */
void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count,
				      uint32_t domid, uint32_t *refs, int prot)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!may_map(domid, refs[i], prot) || refs[i] != refs[0] + i) {
			errno = EINVAL;
			return NULL;
		}
	}
	for (uint32_t i = 0; i < count; i++)
		fake.grant[refs[i]].mapped++;
	fake.maps++;
	fake.mapped += count;
	return memory[refs[0]];
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid,
			      uint32_t ref, int prot)
{
	return xengnttab_map_domain_grant_refs(xgt, 1, domid, &ref, prot);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
	uint32_t ref = (uint32_t)(((char *)start - memory[0]) / PAGE);

	for (uint32_t i = 0; i < count; i++) {
		if (!fake.grant[ref + i].mapped)
			abort();
		fake.grant[ref + i].mapped--;
	}
	fake.unmaps++;
	fake.mapped -= count;
	return 0;
}

static int16_t copy_one(xengnttab_grant_copy_segment_t *s)
{
	bool in = s->flags == GNTCOPY_source_gref;
	union xengnttab_copy_ptr *theirs = in ? &s->source : &s->dest;
	void *ours = in ? s->dest.virt : s->source.virt;
	struct fake_grant *g;
	int16_t status;
	char *page;

	if (!in && s->flags != GNTCOPY_dest_gref)
		return GNTST_bad_copy_arg;
	if (theirs->foreign.domid != FAKE_DOMID)
		return GNTST_bad_domain;
	if (theirs->foreign.ref >= FAKE_GRANTS)
		return GNTST_bad_gntref;
	if (theirs->foreign.offset + s->len > PAGE)
		return GNTST_bad_copy_arg;
	g = &fake.grant[theirs->foreign.ref];
	status = g->status;
	if (g->times && !--g->times)
		g->status = GNTST_okay;
	if (status)
		return status;
	if (!in && g->readonly)
		return GNTST_permission_denied;
	page = memory[theirs->foreign.ref] + theirs->foreign.offset;
	memcpy(in ? ours : page, in ? page : ours, s->len);
	return GNTST_okay;
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
			 xengnttab_grant_copy_segment_t *segs)
{
	fake.copies++;
	if (fake.copy_fails) {
		errno = ENOMEM;
		return -1;
	}
	for (uint32_t i = 0; i < count; i++)
		segs[i].status = copy_one(&segs[i]);
	return 0;
}

/* ---- event channels: the fd is readable while an unmasked port pends ----- */

static int next_port(void)
{
	for (int p = 0; p < FAKE_PORTS; p++) {
		if (fake.pending[p] && !fake.masked[p])
			return p;
	}
	return -1;
}

void fake_fire(uint32_t port)
{
	fake.pending[port] = true;
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger,
				 unsigned int flags)
{
	xenevtchn_handle *xce = malloc(sizeof(*xce));

	if (!xce)
		return NULL;
	xce->fd = eventfd(0, EFD_CLOEXEC);
	fake.handles++;
	return xce;
}

int xenevtchn_close(xenevtchn_handle *xce)
{
	close(xce->fd);
	free(xce);
	fake.handles--;
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	return xce->fd;
}

xenevtchn_port_or_error_t
xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
			   evtchn_port_t remote)
{
	if (domid != FAKE_DOMID || remote >= FAKE_PORTS) {
		errno = EINVAL;
		return -1;
	}
	fake.bound++;
	return (int)remote + LOCAL_PORT;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	fake.bound--;
	return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	fake.notifies[port - LOCAL_PORT]++;
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	int port = next_port();

	if (port < 0) {
		errno = EAGAIN;
		return -1;
	}
	fake.pending[port] = false;
	fake.masked[port] = true;
	return port + LOCAL_PORT;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	fake.masked[port - LOCAL_PORT] = false;
	fake.unmasks++;
	return 0;
}
