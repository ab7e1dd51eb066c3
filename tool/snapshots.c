/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshots.c: see snapshots.h. */
#include "tool/snapshots.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "common/size.h"
#include "tool/json.h"

/* ---- human ---- */

static void print_snapshot(const struct image_info_snapshot *s)
{
	time_t when = (time_t)s->date_sec;
	uint64_t ms = s->vm_clock_nsec / 1000000;
	char size[SIZE_TEXT_MAX], date[32] = "", clock[32], icount[24] = "--";
	struct tm tm;

	if (localtime_r(&when, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(clock, sizeof(clock), "%04" PRIu64 ":%02u:%02u.%03u",
		 ms / 3600000, (unsigned int)(ms / 60000 % 60),
		 (unsigned int)(ms / 1000 % 60), (unsigned int)(ms % 1000));
	if (s->icount != -1)
		snprintf(icount, sizeof(icount), "%" PRId64, s->icount);
	printf("%-7s %-16s %8s %19s %15s %10s\n", s->id, s->name,
	       size_format(s->vm_state_size, size), date, clock, icount);
}

void tool_print_snapshots(const struct image_info *i)
{
	if (!i->nr_snapshots)
		return;
	puts("Snapshot list:");
	printf("%-7s %-16s %8s %19s %15s %10s\n", "ID", "TAG", "VM_SIZE", "DATE",
	       "VM_CLOCK", "ICOUNT");
	for (unsigned int n = 0; n < i->nr_snapshots; n++)
		print_snapshot(&i->snapshots[n]);
}

/* ---- JSON ---- */

static void set_snapshot_number(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

static json_t *json_snapshot(const struct image_info_snapshot *s)
{
	json_t *o = json_object();

	json_object_set_new(o, "id", tool_json_text(s->id));
	json_object_set_new(o, "name", tool_json_text(s->name));
	set_snapshot_number(o, "vm-state-size", s->vm_state_size);
	set_snapshot_number(o, "date-sec", s->date_sec);
	set_snapshot_number(o, "date-nsec", s->date_nsec);
	set_snapshot_number(o, "vm-clock-sec", s->vm_clock_nsec / 1000000000);
	set_snapshot_number(o, "vm-clock-nsec", s->vm_clock_nsec % 1000000000);
	if (s->icount != -1)
		set_snapshot_number(o, "icount", (uint64_t)s->icount);
	return o;
}

json_t *tool_json_snapshots(const struct image_info *i)
{
	json_t *list = json_array();

	for (unsigned int n = 0; n < i->nr_snapshots; n++)
		json_array_append_new(list, json_snapshot(&i->snapshots[n]));
	return list;
}
