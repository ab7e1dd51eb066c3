/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch.c: see watch.h. */
#include "backend/supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"

/* Then the workers get their turn, and what is marked is looked at: so many
 * that nobody writes faster than this reads. */
#define EVENTS_PER_TURN 1024

#define RELEASE_TOKEN "release"
#define KIND_TOKEN "kind"

/* The nodes that others write and we look at. */
static bool node_matters(const char *node)
{
	static const char *const nodes[] = { "", "state", "online", "sectors" };

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		if (!strcmp(node, nodes[i]))
			return true;
	}
	return false;
}

/* Something above the devices has changed, maybe vanished. */
static void mark_below(struct watch *w, const char *path)
{
	struct device *dev;

	list_for_each(dev, w->devices, link) {
		if (xs_path_is_subpath(path, dev->path))
			dev->dirty = true;
	}
}

static void kind_event(struct watch *w, enum device_kind kind,
		       const char *path)
{
	unsigned int domid, devid;
	struct device *dev;
	int n = 0;

	if (sscanf(path, "backend/%*[^/]/%u/%u%n", &domid, &devid, &n) == 2 &&
	    (!path[n] || path[n] == '/')) {
		dev = device_find(w->devices, kind, domid, devid);
		if (!dev)
			scan_note(w->scan, kind, domid, devid);
		else if (node_matters(path[n] ? path + n + 1 : ""))
			dev->dirty = true;
		return;
	}
	mark_below(w, path);
	if (sscanf(path, "backend/%*[^/]/%u", &domid) == 1)
		scan_note(w->scan, kind, domid, SCAN_ANY);
	else
		scan_note_all(w->scan, kind);
}

static void release_event(struct watch *w)
{
	struct device *dev;

	list_for_each(dev, w->devices, link) {
		if (dev->dead_domain || domains_alive(w->domains, dev->domid))
			continue;
		log_write(&dev->log, LOG_LEVEL_DEBUG, "the domain is dying");
		dev->dead_domain = dev->dirty = true;
	}
}

static void frontend_event(struct watch *w, const char *token)
{
	struct device *dev;

	list_for_each(dev, w->devices, link) {
		if (dev->stage != DEVICE_FORGOTTEN && !strcmp(dev->path, token))
			dev->dirty = true;
	}
}

static void watch_event(struct watch *w, const char *path,
			const char *token)
{
	unsigned int kind;

	if (!strcmp(token, RELEASE_TOKEN))
		release_event(w);
	else if (sscanf(token, KIND_TOKEN "%u", &kind) == 1 && kind < NR_KINDS)
		kind_event(w, (enum device_kind)kind, path);
	else
		frontend_event(w, token);
}

int watch_hear(struct watch *w)
{
	for (int i = 0; i < EVENTS_PER_TURN; i++) {
		char **event = xs_check_watch(w->host->xs);

		if (!event)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		watch_event(w, event[XS_WATCH_PATH], event[XS_WATCH_TOKEN]);
		free(event);
	}
	return 0;
}

static int watch_kind(struct watch *w, enum device_kind kind,
		      struct error *err)
{
	char path[64], token[32];

	snprintf(path, sizeof(path), "backend/%s", device_kind_name(kind));
	snprintf(token, sizeof(token), KIND_TOKEN "%u", (unsigned int)kind);
	if (!xs_watch(w->host->xs, path, token))
		return error_set_errno(err, errno, "cannot watch %s", path);
	return 0;	/* the watch fires at once: all there is gets scanned */
}

int watch_start(struct watch *w, struct error *err)
{
	int ret = 0;

	if (!xs_watch(w->host->xs, "@releaseDomain", RELEASE_TOKEN))
		return error_set_errno(err, errno, "cannot watch domains");
	for (unsigned int k = 0; ret == 0 && k < NR_KINDS; k++) {
		if (w->host->conf->kinds[k])
			ret = watch_kind(w, (enum device_kind)k, err);
	}
	return ret;
}
