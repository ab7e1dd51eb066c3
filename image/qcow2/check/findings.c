/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * findings.c: what a check says and counts, and what it may claim.
 *
 * Findings go to the caller one sentence at a time; beyond MAX_LINES they are
 * only counted.
 */
#include "image/qcow2/check/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/bits.h"

/* Findings beyond that are counted but not listed. */
#define MAX_LINES 10000
/* From that many bad entries on a table is suspected to be none. */
#define GARBAGE_MIN 8

/* ---- findings ---- */

static void report_finding(struct check *ck, const char *fmt, va_list ap)
{
	char text[512];

	if (!ck->res->report || ck->lines > MAX_LINES)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	if (ck->lines++ == MAX_LINES)
		snprintf(text, sizeof(text),
			 "More than %d findings: the rest "
			 "is counted, but not listed",
			 MAX_LINES);
	ck->res->report(ck->res->report_arg, text);
}

void ck_note(struct check *ck, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_finding(ck, fmt, ap);
	va_end(ap);
}

void ck_corrupt(struct check *ck, const char *fmt, ...)
{
	va_list ap;

	ck->res->corruptions++;
	va_start(ap, fmt);
	report_finding(ck, fmt, ap);
	va_end(ap);
}

/* One that repair leaves alone, as nobody can tell what should be there. */
void ck_corrupt_for_good(struct check *ck, const char *fmt, ...)
{
	va_list ap;

	ck->res->corruptions++;
	ck->unfixable++;
	ck->bad_entries++;
	ck->refs_unknown = true;
	va_start(ap, fmt);
	report_finding(ck, fmt, ap);
	va_end(ap);
}

void ck_unreadable(struct check *ck, int ret, const char *what, uint64_t offset)
{
	ck->res->check_errors++;
	ck->refs_unknown = true;
	ck_note(ck, "ERROR cannot read %s at offset %#" PRIx64 ": %s", what,
		offset, strerror(-ret));
}

/* ---- small helpers ---- */

void ck_progress(struct check *ck, uint64_t bytes)
{
	ck->done = min(ck->done + bytes, ck->total);
	if (ck->res->progress)
		ck->res->progress(ck->res->report_arg, ck->done, ck->total);
}

void ck_judge_room(struct check *ck)
{
	uint64_t bytes = refmap_bytes(&ck->refs) + refmap_bytes(&ck->own) +
			 refmap_bytes(&ck->bitmaps) +
			 refmap_bytes(&ck->aliases) +
			 ck->max_l2 * sizeof(*ck->l2) +
			 ck->nr_suspects * sizeof(*ck->suspects);

	if (ck->room && bytes > ck->room && !ck->ret)
		ck->ret = -EFBIG;
}

void ck_add_refs(struct check *ck, uint64_t cluster, uint32_t n,
		 unsigned int flags)
{
	if (refmap_add(&ck->refs, cluster, n, flags))
		ck->ret = -ENOMEM;
}

bool ck_is_garbage(uint64_t bad, uint64_t good)
{
	return bad >= GARBAGE_MIN && bad > good;
}

void ck_swap_words(uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		words[i] = load_be64(&words[i]);
}

const char *ck_try_claim(struct check *ck, uint64_t offset, uint64_t bytes)
{
	uint64_t first = ck_cluster_of(ck, offset);
	uint64_t n = div_round_up(bytes, ck->cluster_size);

	if (!ck_in_cluster_start(ck, offset))
		return "is not cluster aligned";
	if (!range_within(offset, bytes, ck->file_len))
		return "reaches beyond the end of the file";
	for (uint64_t i = 0; i < n; i++)
		if (ck_is_meta(ck, first + i))
			return "overlaps with other metadata";
	for (uint64_t i = 0; i < n; i++)
		ck_add_refs(ck, first + i, 1, SEEN_META);
	return NULL;
}

bool ck_claim(struct check *ck, uint64_t offset, uint64_t bytes,
	      const char *what)
{
	const char *fault = ck_try_claim(ck, offset, bytes);

	if (fault)
		ck_corrupt_for_good(ck, "ERROR %s (offset %#" PRIx64 ", %"
				    PRIu64 " bytes) %s", what, offset, bytes,
				    fault);
	return !fault;
}
