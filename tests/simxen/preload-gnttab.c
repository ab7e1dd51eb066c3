/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preload-gnttab.c: libxengnttab, as /dev/xen/gntdev would answer.
 *
 * Mapping is all or nothing and fails with EINVAL, copying gives each segment
 * its own status, unmapping wants exactly what was mapped: as in Linux's
 * gntdev. Revoking a grant does not take a mapping away.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xengnttab.h>

#include "tests/simxen/preload.h"

#define BUCKETS 4096

struct mapping {
	struct mapping *next;
	uintptr_t start;
	uint32_t count;
	struct {
		uint32_t domid, ref;
	} page[];
};

struct xengntdev_handle {
	int unused;
};

static struct mapping *mappings[BUCKETS];
static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger,
				 unsigned int open_flags)
{
	xengnttab_handle *xgt = calloc(1, sizeof(*xgt));

	if (xgt)
		count(gnttab_handles, 1);
	return xgt;
}

int xengnttab_close(xengnttab_handle *xgt)
{
	if (xgt)
		count(gnttab_handles, -1);
	free(xgt);
	return 0;
}

int xengnttab_fd(xengnttab_handle *xgt)
{
	errno = ENOTSUP;
	return -1;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	return 0;
}

static struct mapping **bucket(uintptr_t start)
{
	return &mappings[(start / SIMXEN_PAGE) % BUCKETS];
}

static void mapping_add(struct mapping *m)
{
	pthread_mutex_lock(&mappings_lock);
	m->next = *bucket(m->start);
	*bucket(m->start) = m;
	pthread_mutex_unlock(&mappings_lock);
}

static struct mapping *mapping_take(uintptr_t start, uint32_t count)
{
	struct mapping **p, *m;

	pthread_mutex_lock(&mappings_lock);
	for (p = bucket(start); *p && (*p)->start != start; p = &(*p)->next)
		;
	m = *p;
	if (m && m->count == count)
		*p = m->next;
	else
		m = NULL;
	pthread_mutex_unlock(&mappings_lock);
	return m;
}

/* Puts one page of a domain at addr; counts it in the domain's table. */
static int map_page(uint32_t domid, uint32_t ref, int prot, void *addr)
{
	struct foreign *f = preload_lock_domain(domid);
	int ret = 0;
	void *p;

	if (!f)
		return EINVAL;
	if (preload_grant_status(f, ref, prot & PROT_WRITE)) {
		ret = EINVAL;
	} else {
		p = mmap(addr, SIMXEN_PAGE, prot, MAP_SHARED | MAP_FIXED,
			 f->mem_fd, (off_t)ref * SIMXEN_PAGE);
		if (p == MAP_FAILED)
			ret = errno;
		else
			__atomic_fetch_add(&f->grants->grant[ref].maps, 1,
					   __ATOMIC_ACQ_REL);
	}
	preload_unlock();
	return ret;
}

static void uncount_page(uint32_t domid, uint32_t ref)
{
	struct foreign *f = preload_lock_domain(domid);

	if (!f)
		return;		/* gone: nobody looks at its table any more */
	__atomic_fetch_sub(&f->grants->grant[ref].maps, 1, __ATOMIC_ACQ_REL);
	preload_unlock();
}

static void mapping_drop(struct mapping *m, uint32_t pages)
{
	uint32_t i;

	munmap((void *)m->start, (size_t)m->count * SIMXEN_PAGE);
	for (i = 0; i < pages; i++)
		uncount_page(m->page[i].domid, m->page[i].ref);
	free(m);
}

static void *map_refs(uint32_t nr, const uint32_t *domids, int domid_step,
		      const uint32_t *refs, int prot)
{
	struct mapping *m = NULL;
	uint32_t i;
	void *addr;
	int err;

	preload_trap();
	if (!nr) {
		errno = EINVAL;
		return NULL;
	}
	addr = mmap(NULL, (size_t)nr * SIMXEN_PAGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (addr == MAP_FAILED)
		return NULL;
	m = calloc(1, sizeof(*m) + nr * sizeof(m->page[0]));
	if (!m) {
		munmap(addr, (size_t)nr * SIMXEN_PAGE);
		errno = ENOMEM;
		return NULL;
	}
	m->start = (uintptr_t)addr;
	m->count = nr;
	for (i = 0; i < nr; i++) {
		m->page[i].domid = domids[i * domid_step];
		m->page[i].ref = refs[i];
		err = map_page(m->page[i].domid, refs[i], prot,
			       (uint8_t *)addr + (size_t)i * SIMXEN_PAGE);
		if (err) {
			count(failed_segments, 1);
			mapping_drop(m, i);
			errno = err;
			return NULL;
		}
	}
	mapping_add(m);
	count(maps, 1);
	count(mapped_pages, nr);
	return addr;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid,
			      uint32_t ref, int prot)
{
	return map_refs(1, &domid, 0, &ref, prot);
}

void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t nr,
			       uint32_t *domids, uint32_t *refs, int prot)
{
	return map_refs(nr, domids, 1, refs, prot);
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t nr,
				      uint32_t domid, uint32_t *refs, int prot)
{
	return map_refs(nr, &domid, 0, refs, prot);
}

/* The notification at unmap is left out: no block backend uses it. */
void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid,
				     uint32_t ref, int prot,
				     uint32_t notify_offset,
				     evtchn_port_t notify_port)
{
	return map_refs(1, &domid, 0, &ref, prot);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t nr)
{
	struct mapping *m = mapping_take((uintptr_t)start_address, nr);

	preload_trap();
	if (!m) {
		count(misuse, 1);
		errno = EINVAL;
		return -1;
	}
	count(unmaps, 1);
	count(mapped_pages, -(int64_t)nr);
	mapping_drop(m, nr);
	return 0;
}

/* What gntdev refuses for the whole call, before any data moves. */
static bool segment_sane(const xengnttab_grant_copy_segment_t *s)
{
	if (!(s->flags & (GNTCOPY_source_gref | GNTCOPY_dest_gref)))
		return false;
	if ((s->flags & GNTCOPY_source_gref) &&
	    s->source.foreign.offset + s->len > SIMXEN_PAGE)
		return false;
	return !(s->flags & GNTCOPY_dest_gref) ||
	       s->dest.foreign.offset + s->len <= SIMXEN_PAGE;
}

/* One end of a copy. Consecutive segments mostly name the same domain, whose
 * lock is then kept from one to the next. */
static int resolve(struct foreign **f, uint32_t *locked, uint32_t domid,
		   uint32_t ref, uint16_t offset, bool write, uint8_t **p)
{
	int status;

	if (*f && *locked != domid) {
		preload_unlock();
		*f = NULL;
	}
	if (!*f) {
		*f = preload_lock_domain(domid);
		*locked = domid;
	}
	if (!*f)
		return GNTST_bad_domain;
	status = preload_grant_status(*f, ref, write);
	*p = (*f)->mem + (size_t)ref * SIMXEN_PAGE + offset;
	return status;
}

static int copy_segment(struct foreign **f, uint32_t *locked,
			const xengnttab_grant_copy_segment_t *s)
{
	uint8_t *from = s->source.virt, *to = s->dest.virt;
	int status = GNTST_okay;

	if (s->flags & GNTCOPY_source_gref)
		status = resolve(f, locked, s->source.foreign.domid,
				 s->source.foreign.ref,
				 s->source.foreign.offset, false, &from);
	if (!status && (s->flags & GNTCOPY_dest_gref))
		status = resolve(f, locked, s->dest.foreign.domid,
				 s->dest.foreign.ref, s->dest.foreign.offset,
				 true, &to);
	if (!status)
		memcpy(to, from, s->len);
	return status;
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t nr,
			 xengnttab_grant_copy_segment_t *segs)
{
	struct foreign *f = NULL;
	uint32_t locked = 0, i;

	preload_trap();
	count(copy_calls, 1);
	count(copy_segments, nr);
	for (i = 0; i < nr; i++) {
		if (!segment_sane(&segs[i])) {
			if (f)
				preload_unlock();
			count(misuse, 1);
			errno = EINVAL;
			return -1;
		}
		segs[i].status = copy_segment(&f, &locked, &segs[i]);
		if (segs[i].status)
			count(failed_segments, 1);
	}
	if (f)
		preload_unlock();
	return 0;
}
