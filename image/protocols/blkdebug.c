/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blkdebug.c: a protocol over another that fails when it is told to.
 *
 * For tests only. Rules of two kinds, each for an event (image/events.h) and, if
 * it says so, a state, which is a number that begins as 1: "set-state" changes
 * the state; "inject-error" makes requests fail from that event on, every one or
 * the next only, and takes the place of those that did so before. Rules for the
 * event "none" do so from the beginning.
 *
 * Breakpoints tell on stdout when they hold a request, as those who use them in
 * scripts expect.
 *
 * It also has requests aligned and split as some other host might want them.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/size.h"
#include "image/driver.h"
#include "image/graph/open.h"

#define MAX_RULES 256
#define ZERO_BUFFER ((uint64_t)64 * KiB)

enum request_type {
	REQ_READ, REQ_WRITE, REQ_WRITE_ZEROES, REQ_DISCARD, REQ_FLUSH,
	REQ_BLOCK_STATUS,
};

struct rule {
	char group[64];			/* "inject-error.0" */
	bool inject;			/* else it sets the state */
	bool has_event, active, used;
	enum image_event event;
	uint64_t state;			/* 0: any */
	uint64_t new_state;
	int error;			/* an errno */
	uint64_t sector;		/* UINT64_MAX: any */
	bool once;
	unsigned int types;		/* bits of enum request_type */
};

struct suspended {
	struct suspended *next;
	enum image_event event;
	bool stopped;			/* somebody waits in it */
	struct co_queue queue;
	char tag[];
};

struct blkdebug {
	struct image *child;
	uint64_t state;
	struct rule *rules;
	unsigned int nr;
	uint64_t max_transfer, opt_zero, max_zero, opt_discard, max_discard;
	struct suspended *points;
};

static const char *const event_names[] = {
#define IMAGE_EVENT(id, name) [IMAGE_EVENT_##id] = name,
#include "image/events.h"
#undef IMAGE_EVENT
};

static const char *const type_names[] = {
	[REQ_READ] = "read",
	[REQ_WRITE] = "write",
	[REQ_WRITE_ZEROES] = "write-zeroes",
	[REQ_DISCARD] = "discard",
	[REQ_FLUSH] = "flush",
	[REQ_BLOCK_STATUS] = "block-status",
};

static int find_event(const char *name, enum image_event *event)
{
	for (size_t i = 0; i < ARRAY_SIZE(event_names); i++) {
		if (!strcmp(name, event_names[i])) {
			*event = (enum image_event)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- rules out of options ---- */

static struct rule *get_rule(struct blkdebug *b, const char *group, size_t len)
{
	struct rule *r;

	for (unsigned int i = 0; i < b->nr; i++)
		if (!strncmp(b->rules[i].group, group, len) &&
		    !b->rules[i].group[len])
			return &b->rules[i];
	if (b->nr == MAX_RULES || len >= sizeof(r->group))
		return NULL;
	r = &b->rules[b->nr++];
	memcpy(r->group, group, len);
	r->inject = *group == 'i';
	r->error = EIO;
	r->sector = UINT64_MAX;
	r->types = ~(1u << REQ_BLOCK_STATUS);
	return r;
}

static int set_rule_number(const char *name, const char *text, uint64_t max,
			   uint64_t *value, struct error *err)
{
	if (!number_parse(text, max, value))
		return 0;
	return error_set(err, EINVAL, "Parameter '%s' expects a number, not "
			 "'%s'", name, text);
}

static int set_rule_bool(const char *name, const char *text, bool *value,
			 struct error *err)
{
	*value = !strcmp(text, "on");
	if (*value || !strcmp(text, "off"))
		return 0;
	return error_set(err, EINVAL, "Parameter '%s' expects 'on' or 'off', "
			 "not '%s'", name, text);
}

static int set_event(struct rule *r, const char *text, struct error *err)
{
	r->has_event = !find_event(text, &r->event);
	/* What goes out are slices of a block, never all of it. */
	if (r->event == IMAGE_EVENT_REFBLOCK_UPDATE_PART)
		r->event = IMAGE_EVENT_REFBLOCK_UPDATE;
	return r->has_event ? 0 :
		error_set(err, EINVAL, "Invalid event name \"%s\"", text);
}

static int set_type(struct rule *r, const char *text, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(type_names); i++) {
		if (!strcmp(text, type_names[i])) {
			r->types = 1u << i;
			return 0;
		}
	}
	return error_set(err, EINVAL, "Invalid iotype \"%s\"", text);
}

static int set_inject(struct rule *r, const char *key, const char *name,
		      const char *text, struct error *err)
{
	bool at_once;			/* there is no other way here */
	uint64_t n;
	int ret;

	if (!strcmp(key, "errno")) {
		ret = set_rule_number(name, text, 4095, &n, err);
		r->error = ret ? r->error : (int)n;
		return ret;
	}
	if (!strcmp(key, "sector"))
		return !strcmp(text, "-1") ? 0 :
			set_rule_number(name, text, INT64_MAX / SECTOR_SIZE,
					&r->sector, err);
	if (!strcmp(key, "once"))
		return set_rule_bool(name, text, &r->once, err);
	if (!strcmp(key, "immediately"))
		return set_rule_bool(name, text, &at_once, err);
	if (!strcmp(key, "iotype"))
		return set_type(r, text, err);
	return error_set(err, EINVAL, "Unknown image option '%s' (known: "
			 "event, state, iotype, errno, sector, once, "
			 "immediately)", name);
}

static int set_rule(struct blkdebug *b, const char *name, const char *text,
		    struct error *err)
{
	const char *key = strrchr(name, '.') + 1;
	struct rule *r = get_rule(b, name, (size_t)(key - 1 - name));

	if (!r)
		return error_set(err, EINVAL, "'%s' is not one of %d rules",
				 name, MAX_RULES);
	if (!strcmp(key, "event"))
		return set_event(r, text, err);
	if (!strcmp(key, "state"))
		return set_rule_number(name, text, INT32_MAX, &r->state, err);
	if (r->inject)
		return set_inject(r, key, name, text, err);
	if (!strcmp(key, "new_state"))
		return set_rule_number(name, text, INT32_MAX, &r->new_state,
				       err);
	return error_set(err, EINVAL, "Unknown image option '%s' (known: "
			 "event, state, new_state)", name);
}

static int read_rules(struct blkdebug *b, const struct image_options *opts,
		      struct error *err)
{
	const struct image_node *node = opts->node;
	int ret = 0;

	b->rules = calloc(MAX_RULES, sizeof(*b->rules));
	if (!b->rules)
		return -ENOMEM;
	for (unsigned int i = 0; !ret && i < node->nr_options; i++)
		if (!strncmp(node->options[i].name, "inject-error.", 13) ||
		    !strncmp(node->options[i].name, "set-state.", 10))
			ret = set_rule(b, node->options[i].name,
				       node->options[i].value, err);
	for (unsigned int i = 0; !ret && i < b->nr; i++) {
		struct rule *r = &b->rules[i];

		if (!r->has_event)
			ret = error_set(err, EINVAL, "Missing event name for "
					"rule %s", r->group);
		r->active = r->inject && r->event == IMAGE_EVENT_NONE;
	}
	return ret;
}

/* ---- open and close ---- */

static int read_limit(const struct image_options *opts, const char *name,
		      uint64_t unit, uint64_t *value, struct error *err)
{
	int ret = image_node_bytes(opts, name, value, err);

	if (!ret && (*value % unit || *value > INT32_MAX))
		ret = error_set(err, EINVAL, "Cannot meet constraints with %s "
				"%" PRIu64, name, *value);
	return ret;
}

static int read_limits(struct image *img, const struct image_options *opts,
		       struct error *err)
{
	struct blkdebug *b = img->state;
	uint64_t align = 0, unit;
	int ret = image_node_bytes(opts, "align", &align, err);

	if (!ret && align && (!is_pow2(align) || align > 64 * MiB))
		ret = error_set(err, EINVAL, "Cannot meet constraints with "
				"align %" PRIu64, align);
	unit = align ? align : 1;
	if (!ret)
		ret = read_limit(opts, "max-transfer", unit, &b->max_transfer,
				 err);
	if (!ret)
		ret = read_limit(opts, "opt-write-zero", unit, &b->opt_zero,
				 err);
	if (!ret)
		ret = read_limit(opts, "max-write-zero",
				 max(unit, b->opt_zero), &b->max_zero, err);
	if (!ret)
		ret = read_limit(opts, "opt-discard", unit, &b->opt_discard,
				 err);
	if (!ret)
		ret = read_limit(opts, "max-discard",
				 max(unit, b->opt_discard), &b->max_discard,
				 err);
	if (!ret)
		img->request_align = (uint32_t)unit;
	return ret;
}

static void free_all(struct blkdebug *b)
{
	struct suspended *p;

	while ((p = b->points)) {
		b->points = p->next;
		free(p);
	}
	free(b->rules);
}

static int blkdebug_open(struct image *img, const struct image_options *opts,
			 struct error *err)
{
	struct blkdebug *b = img->state;
	int ret;

	if (!opts->node || !opts->node->file)
		return error_set(err, EINVAL, "blkdebug needs an image");
	b->state = 1;
	ret = read_rules(b, opts, err);
	if (!ret)
		ret = read_limits(img, opts, err);
	if (!ret)
		ret = image_open_child(img, opts->node->file, opts, &b->child,
				       err);
	if (ret) {
		free_all(b);
		return ret;
	}
	img->size = b->child->size;
	img->limits = b->child->limits;
	img->zero_beyond_end = b->child->zero_beyond_end;
	img->cache = b->child->cache;
	img->id = b->child->id;
	return 0;
}

static int blkdebug_close(struct image *img, struct error *err)
{
	struct blkdebug *b = img->state;

	free_all(b);
	return image_close(b->child, err);
}

/* ---- events ---- */

static struct suspended *find_point(struct blkdebug *b, const char *tag)
{
	for (struct suspended *p = b->points; p; p = p->next)
		if (!strcmp(p->tag, tag))
			return p;
	return NULL;
}

static void forget_point(struct blkdebug *b, struct suspended *gone)
{
	struct suspended **p = &b->points;

	while (*p && *p != gone)
		p = &(*p)->next;
	if (*p)
		*p = gone->next;
	free(gone);
}

/* A breakpoint holds the first that comes by, and is gone with it. */
static void suspend(struct blkdebug *b, enum image_event event)
{
	for (struct suspended *p = b->points; p; p = p->next) {
		if (p->event != event || p->stopped)
			continue;
		p->stopped = true;
		printf("blkdebug: Suspended request '%s'\n", p->tag);
		co_queue_wait(&p->queue);
		forget_point(b, p);
		return;
	}
}

/* Rules are judged by the state that was, whatever their order. */
static void blkdebug_event(struct image *img, enum image_event event)
{
	struct blkdebug *b = img->state;
	uint64_t state = b->state;
	bool injected = false;

	if (event == IMAGE_EVENT_NONE)
		return;
	for (unsigned int i = 0; i < b->nr; i++) {
		struct rule *r = &b->rules[i];

		if (r->event != event || r->used ||
		    (r->state && r->state != state))
			continue;
		if (!r->inject) {
			b->state = r->new_state;
			continue;
		}
		for (unsigned int j = 0; !injected && j < b->nr; j++)
			b->rules[j].active = false;
		injected = true;
		r->active = true;
	}
	suspend(b, event);
}

static int inject_error(struct blkdebug *b, enum request_type type,
			uint64_t off, uint64_t len)
{
	for (unsigned int i = 0; i < b->nr; i++) {
		struct rule *r = &b->rules[i];

		if (!r->active || !(r->types & (1u << type)))
			continue;
		if (r->sector != UINT64_MAX &&
		    (r->sector * SECTOR_SIZE < off ||
		     r->sector * SECTOR_SIZE - off >= len))
			continue;
		if (r->once) {
			r->active = false;
			r->used = true;
		}
		return -r->error;
	}
	return 0;
}

/* ---- requests ---- */

/* How much of [off, off + len) to do at once: up to the next multiple of `unit`,
 * then whole ones of it, then what is left. */
static uint64_t piece(uint64_t off, uint64_t len, uint64_t unit, uint64_t most)
{
	uint64_t n = len;

	if (unit && off % unit)
		n = min(n, unit - off % unit);
	else if (unit && n > unit)
		n -= n % unit;
	return most ? min(n, most) : n;
}

static int blkdebug_preadv(struct image *img, uint64_t off, uint64_t len,
			   struct iow w)
{
	struct blkdebug *b = img->state;
	int ret = 0;

	for (uint64_t n; len && !ret; off += n, len -= n) {
		n = piece(off, len, 0, b->max_transfer);
		ret = inject_error(b, REQ_READ, off, n);
		if (!ret)
			ret = image_preadv(b->child, off, n, w);
		w = iow_advance(w, n);
	}
	return ret;
}

static int blkdebug_pwritev(struct image *img, uint64_t off, uint64_t len,
			    struct iow w)
{
	struct blkdebug *b = img->state;
	int ret = 0;

	for (uint64_t n; len && !ret; off += n, len -= n) {
		n = piece(off, len, 0, b->max_transfer);
		ret = inject_error(b, REQ_WRITE, off, n);
		if (!ret)
			ret = image_pwritev(b->child, off, n, w);
		w = iow_advance(w, n);
	}
	img->size = b->child->size;
	return ret;
}

/* What is too small to be done at once is written. */
static int write_small_zeroes(struct image *img, uint64_t off, uint64_t len)
{
	cleanup_free void *buf = calloc(1, ZERO_BUFFER);
	struct iovec iov = { buf, ZERO_BUFFER };
	int ret = buf ? 0 : -ENOMEM;

	for (uint64_t n; len && !ret; off += n, len -= n) {
		n = min(len, ZERO_BUFFER);
		ret = blkdebug_pwritev(img, off, n, iow_of(&iov, 1));
	}
	return ret;
}

static int blkdebug_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
				  unsigned int flags)
{
	struct blkdebug *b = img->state;
	int ret = 0;

	for (uint64_t n; len && !ret; off += n, len -= n) {
		n = piece(off, len, b->opt_zero, b->max_zero);
		if (n < b->opt_zero) {
			ret = flags & IMAGE_ZERO_FAST ? -EOPNOTSUPP :
				      write_small_zeroes(img, off, n);
			continue;
		}
		ret = inject_error(b, REQ_WRITE_ZEROES, off, n);
		if (!ret)
			ret = image_pwrite_zeroes(b->child, off, n, flags);
	}
	img->size = b->child->size;
	return ret;
}

static int blkdebug_pdiscard(struct image *img, uint64_t off, uint64_t len)
{
	struct blkdebug *b = img->state;
	int ret = 0;

	for (uint64_t n; len && !ret; off += n, len -= n) {
		n = piece(off, len, b->opt_discard, b->max_discard);
		ret = inject_error(b, REQ_DISCARD, off, n);
		if (!ret)
			ret = image_pdiscard(b->child, off, n);
	}
	return ret;
}

static int blkdebug_flush(struct image *img)
{
	struct blkdebug *b = img->state;
	int ret;

	blkdebug_event(img, IMAGE_EVENT_FLUSH_TO_OS);
	blkdebug_event(img, IMAGE_EVENT_FLUSH_TO_DISK);
	ret = inject_error(b, REQ_FLUSH, 0, 0);
	return ret ? ret : image_flush(b->child);
}

static int blkdebug_truncate(struct image *img, uint64_t size,
			     struct error *err)
{
	struct blkdebug *b = img->state;
	int ret = image_truncate(b->child, size, err);

	img->size = b->child->size;
	return ret;
}

static int blkdebug_preallocate(struct image *img, uint64_t off, uint64_t len,
				enum image_preallocation mode,
				struct error *err)
{
	struct blkdebug *b = img->state;

	return image_preallocate(b->child, off, len, mode, err);
}

static int blkdebug_block_status(struct image *img, uint64_t off, uint64_t len,
				 struct image_extent *out)
{
	struct blkdebug *b = img->state;
	int ret = inject_error(b, REQ_BLOCK_STATUS, off, len);

	if (!ret)
		ret = image_block_status(b->child, off, len, out);
	/* Whoever asks wants whole blocks. */
	if (!ret && !is_aligned(out->length, img->request_align)) {
		out->length = align_up(out->length, img->request_align);
		out->flags = (out->flags & ~(unsigned int)IMAGE_EXTENT_ZERO) |
			     IMAGE_EXTENT_DATA | IMAGE_EXTENT_ALLOCATED;
	}
	return ret;
}

static int blkdebug_allocated_size(struct image *img, uint64_t *bytes)
{
	struct blkdebug *b = img->state;

	return image_allocated_size(b->child, bytes);
}

/* ---- breakpoints ---- */

static int blkdebug_break(struct image *img, const char *event, const char *tag)
{
	struct suspended *p = calloc(1, sizeof(*p) + strlen(tag) + 1);
	struct blkdebug *b = img->state;

	if (!p)
		return -ENOMEM;
	if (find_event(event, &p->event)) {
		free(p);
		return -ENOENT;
	}
	strcpy(p->tag, tag);
	co_queue_init(&p->queue);
	p->next = b->points;
	b->points = p;
	return 0;
}

static int blkdebug_resume(struct image *img, const char *tag, bool remove)
{
	struct suspended *p = find_point(img->state, tag);

	if (!p || (!remove && !p->stopped))
		return -ENOENT;
	if (p->stopped) {
		printf("blkdebug: Resuming request '%s'\n", tag);
		co_queue_wake_one(&p->queue);	/* which forgets it */
	} else {
		forget_point(img->state, p);
	}
	return 0;
}

static bool blkdebug_is_suspended(const struct image *img, const char *tag)
{
	const struct suspended *p = find_point(img->state, tag);

	return p && p->stopped;
}

static const struct image *blkdebug_part(const struct image *img,
					 unsigned int n)
{
	const struct blkdebug *b = img->state;

	return n ? NULL : b->child;
}

const struct image_driver image_blkdebug_driver = {
	.name = "blkdebug",
	.state_size = sizeof(struct blkdebug),
	.testing = true,
	.node_options = (const char *const[]){
		"config", "align", "max-transfer", "opt-write-zero",
		"max-write-zero", "opt-discard", "max-discard",
		"inject-error.", "set-state.", NULL },
	.open = blkdebug_open,
	.close = blkdebug_close,
	.preadv = blkdebug_preadv,
	.pwritev = blkdebug_pwritev,
	.pwrite_zeroes = blkdebug_pwrite_zeroes,
	.pdiscard = blkdebug_pdiscard,
	.flush = blkdebug_flush,
	.truncate = blkdebug_truncate,
	.preallocate = blkdebug_preallocate,
	.block_status = blkdebug_block_status,
	.allocated_size = blkdebug_allocated_size,
	.debug_event = blkdebug_event,
	.debug_break = blkdebug_break,
	.debug_resume = blkdebug_resume,
	.debug_is_suspended = blkdebug_is_suspended,
	.part = blkdebug_part,
};
