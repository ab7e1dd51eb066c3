/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scan.c: see scan.h. */
#include "backend/supervisor/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/supervisor/claim.h"
#include "backend/supervisor/life.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/size.h"

void scan_note(struct scan *s, enum device_kind kind, uint32_t domid,
	       uint32_t devid)
{
	struct scan_kind *k = &s->kind[kind];

	for (unsigned int i = 0; i < k->nr; i++) {
		if (k->place[i].domid == domid && k->place[i].devid == devid)
			return;
	}
	if (k->nr == SCAN_MAX)
		k->all = true;
	else
		k->place[k->nr++] = (struct scan_place){ domid, devid };
}

void scan_note_all(struct scan *s, enum device_kind kind)
{
	s->kind[kind].all = true;
}

bool scan_wanted(const struct scan *s)
{
	for (unsigned int k = 0; k < NR_KINDS; k++) {
		if (s->kind[k].all || s->kind[k].nr)
			return true;
	}
	return false;
}

/* ---- the look ---- */

struct scan_run {
	const struct host *host;
	struct list *devices;
};

static void claim_one(struct scan_run *r, enum device_kind kind,
		      uint32_t domid, uint32_t devid)
{
	struct device *dev;

	if (device_find(r->devices, kind, domid, devid))
		return;
	if (claim_device(r->host, kind, domid, devid, &dev) < 0)
		log_error("vbd %u/%u: no memory", domid, devid);
	else if (dev)
		list_add_tail(r->devices, &dev->link);
}

static void scan_domain(struct scan_run *r, enum device_kind kind,
			uint32_t domid)
{
	char path[64];
	unsigned int n = 0;
	cleanup_free char **names = NULL;

	snprintf(path, sizeof(path), "backend/%s/%u", device_kind_name(kind),
		 domid);
	names = xs_directory(r->host->xs, XBT_NULL, path, &n);
	for (unsigned int i = 0; names && i < n; i++) {
		uint64_t devid;

		if (decimal_parse(names[i], UINT32_MAX, &devid) == 0)
			claim_one(r, kind, domid, (uint32_t)devid);
	}
}

static void scan_kind(struct scan_run *r, enum device_kind kind)
{
	char path[64];
	unsigned int n = 0;
	cleanup_free char **names = NULL;

	snprintf(path, sizeof(path), "backend/%s", device_kind_name(kind));
	names = xs_directory(r->host->xs, XBT_NULL, path, &n);
	for (unsigned int i = 0; names && i < n; i++) {
		uint64_t domid;

		if (decimal_parse(names[i], UINT32_MAX, &domid) == 0)
			scan_domain(r, kind, (uint32_t)domid);
	}
}

static void scan_places(struct scan_run *r, enum device_kind kind,
			const struct scan_kind *s)
{
	for (unsigned int i = 0; i < s->nr; i++) {
		const struct scan_place *p = &s->place[i];

		if (p->devid == SCAN_ANY)
			scan_domain(r, kind, p->domid);
		else
			claim_one(r, kind, p->domid, p->devid);
	}
}

void scan_run(struct scan *s, const struct host *host, struct list *devices)
{
	struct scan_run r = { host, devices };
	const struct scan now = *s;
	struct list *last = devices->prev;

	memset(s, 0, sizeof(*s));
	for (unsigned int k = 0; k < NR_KINDS; k++) {
		if (now.kind[k].all)
			scan_kind(&r, (enum device_kind)k);
		else
			scan_places(&r, (enum device_kind)k, &now.kind[k]);
	}
	for (; last->next != devices; last = last->next)
		life_begin(list_entry(last->next, struct device, link));
}
