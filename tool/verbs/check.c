/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk check: is the image consistent; repairs it when asked.
 *
 * The exit status tells of what is left after a repair, which a second check
 * finds out.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "image/check.h"
#include "image/progress.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/progress.h"
#include "tool/verbs/verbs.h"

struct check {
	struct loop *loop;
	struct tool_common common;
	const char *path;
	enum image_repair repair;
	bool dry_run, data;
	uint64_t corruptions_fixed, leaks_fixed;
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ 'r', "repair", "leaks|all", "mend what can be mended" },
	{ OPT_DRY_RUN, "dry-run", NULL, "with -r: only say what it would do" },
	{ OPT_DATA, "data", NULL, "see whether what is compressed is whole" },
	TOOL_OUTPUT,
	TOOL_CACHE,
	{ 'T', "source-cache", "MODE", "the same as -t" },
	TOOL_QUIET,
	TOOL_PROGRESS,
	TOOL_SHARE,
	TOOL_END,
};

static void print_check_finding(void *arg, const char *sentence)
{
	fflush(stdout);
	fprintf(stderr, "%s\n", sentence);
}

/* Opens, checks, closes. EXIT_OK, or an exit status: printed. */
static int check_once(struct check *c, enum image_repair repair,
		      struct image_check *result)
{
	unsigned int flags = IMAGE_REPAIR | IMAGE_NO_BACKING |
		(repair != IMAGE_REPAIR_NONE && !c->dry_run ? IMAGE_RDWR : 0);
	struct image *img = tool_open(c->loop, c->path, &c->common, flags);
	struct error err = ERROR_INIT;
	int ret;

	if (!img)
		return EXIT_FAILED;
	c->common.format = image_format(img);	/* guessed once */
	*result = (struct image_check){
		.report = c->common.quiet ? NULL : print_check_finding,
		.progress = progress_of_engine.set,
		.dry_run = c->dry_run,
		.data = c->data ? IMAGE_CHECK_DATA : IMAGE_CHECK_NO_DATA,
	};
	progress_begin(c->common.progress && !c->common.quiet,
		       c->common.json);
	ret = image_check(img, repair, result, &err);
	progress_end(!ret);
	if (ret == -ENOTSUP) {
		tool_error("This image format does not support checks");
		ret = EXIT_NO_CHECK;
	} else if (ret) {
		ret = tool_error("%s: %s", c->path, error_text(&err, ret));
	}
	return tool_close(img) && !ret ? EXIT_FAILED : ret;
}

/* ---- output ---- */

static void print_counts(const struct image_check *r)
{
	if (!r->corruptions && !r->leaks && !r->check_errors)
		puts("No errors were found on the image.");
	if (r->corruptions)
		printf("\n%" PRIu64 " errors were found on the image.\n"
		       "Data may be corrupted, or further writes to the image "
		       "may corrupt it.\n", r->corruptions);
	if (r->leaks)
		printf("\n%" PRIu64 " leaked clusters were found on the image."
		       "\nThis means waste of disk space, but no harm to data."
		       "\n", r->leaks);
	if (r->check_errors)
		printf("\n%" PRIu64 " internal errors have occurred during the "
		       "check.\n", r->check_errors);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_fixable(const struct check *c)
{
	printf("\n-r %s would mend %" PRIu64 " leaked clusters and %" PRIu64
	       " corruptions.\nNothing was written.\n",
	       c->repair == IMAGE_REPAIR_ALL ? "all" : "leaks",
	       c->leaks_fixed, c->corruptions_fixed);
}

static void print_check(const struct check *c, const struct image_check *r)
{
	print_counts(r);
	if (c->dry_run)
		print_fixable(c);
	if (r->total_clusters && r->allocated_clusters)
		printf("%" PRIu64 "/%" PRIu64 " = %.2f%% allocated, %.2f%% "
		       "fragmented, %.2f%% compressed clusters\n",
		       r->allocated_clusters, r->total_clusters,
		       percent(r->allocated_clusters, r->total_clusters),
		       percent(r->fragmented_clusters, r->allocated_clusters),
		       percent(r->compressed_clusters, r->allocated_clusters));
	if (r->image_end_offset)
		printf("Image end offset: %" PRIu64 "\n", r->image_end_offset);
}

static void add_count(json_t *json, const char *key, uint64_t value)
{
	if (value)
		json_object_set_new(json, key, json_integer((json_int_t)value));
}

static int print_check_json(const struct check *c, const struct image_check *r)
{
	json_t *json = json_object();

	add_count(json, "image-end-offset", r->image_end_offset);
	add_count(json, "total-clusters", r->total_clusters);
	json_object_set_new(json, "check-errors",
			    json_integer((json_int_t)r->check_errors));
	add_count(json, "corruptions", r->corruptions);
	add_count(json, "leaks", r->leaks);
	add_count(json, c->dry_run ? "corruptions-fixable" :
		  "corruptions-fixed", c->corruptions_fixed);
	add_count(json, c->dry_run ? "leaks-fixable" : "leaks-fixed",
		  c->leaks_fixed);
	add_count(json, "allocated-clusters", r->allocated_clusters);
	add_count(json, "fragmented-clusters", r->fragmented_clusters);
	add_count(json, "compressed-clusters", r->compressed_clusters);
	json_object_set_new(json, "filename", tool_json_text(c->path));
	json_object_set_new(json, "format", tool_json_text(c->common.format));
	return tool_json_print(json);
}

/* ---- the verb ---- */

static int check_status(const struct image_check *r)
{
	if (r->check_errors)
		return EXIT_FAILED;
	if (r->corruptions)
		return EXIT_CORRUPT;
	return r->leaks ? EXIT_LEAKS : EXIT_OK;
}

static int repair(struct check *c, struct image_check *result)
{
	int ret = check_once(c, c->repair, result);

	if (ret)
		return ret;
	c->corruptions_fixed = result->corruptions_fixed;
	c->leaks_fixed = result->leaks_fixed;
	if (c->dry_run || (!c->corruptions_fixed && !c->leaks_fixed))
		return 0;
	if (!c->common.json && !c->common.quiet) {
		printf("The following inconsistencies were found and repaired:"
		       "\n\n    %" PRIu64 " leaked clusters\n    %" PRIu64
		       " corruptions\n\nDouble checking the fixed image now..."
		       "\n", c->leaks_fixed, c->corruptions_fixed);
		fflush(stdout);
	}
	return check_once(c, IMAGE_REPAIR_NONE, result);
}

static int check_image(struct check *c)
{
	struct image_check result;
	int ret;

	if (c->repair == IMAGE_REPAIR_NONE)
		ret = check_once(c, IMAGE_REPAIR_NONE, &result);
	else
		ret = repair(c, &result);
	if (ret)
		return ret;
	if (c->common.json)
		ret = print_check_json(c, &result);
	else if (!c->common.quiet)
		print_check(c, &result);
	return ret ? ret : check_status(&result);
}

static int check_option(struct check *c, int id, const char *arg)
{
	if (id == 'T')
		id = 't';
	if (id == OPT_DRY_RUN || id == OPT_DATA) {
		*(id == OPT_DATA ? &c->data : &c->dry_run) = true;
		return 0;
	}
	if (id != 'r')
		return tool_common_option(&c->common, id, arg);
	if (!strcmp(arg, "leaks"))
		c->repair = IMAGE_REPAIR_LEAKS;
	else if (!strcmp(arg, "all"))
		c->repair = IMAGE_REPAIR_ALL;
	else
		return tool_usage(&verb_check, "-r expects 'leaks' or 'all', "
				  "not '%s'", arg);
	return 0;
}

static int run_check_verb(struct loop *loop, int argc, char **argv)
{
	/* qemu-img's: metadata that is in memory already need not be read. */
	struct check c = {
		.loop = loop,
		.common.cache = IMAGE_CACHE_WRITEBACK,
	};
	int id;

	while ((id = tool_getopt(&verb_check, argc, argv)) != -1)
		if (check_option(&c, id, optarg))
			return EXIT_FAILED;
	if (argc - optind != 1)
		return tool_usage(&verb_check, "expecting one image file name");
	c.path = argv[optind];
	if (c.dry_run && c.repair == IMAGE_REPAIR_NONE)
		return tool_usage(&verb_check, "--dry-run says what a repair "
				  "would do: it wants -r");
	if (c.common.share && c.repair != IMAGE_REPAIR_NONE && !c.dry_run)
		return tool_usage(&verb_check, "an image that others use (-U) "
					       "cannot be repaired (-r)");
	return check_image(&c);
}

const struct verb verb_check = {
	.name = "check",
	.summary = "look for inconsistencies in an image, repair them",
	.usage = "FILE",
	.more = "Exit status, after a repair: 0 consistent, 1 the check could "
		"not be made,\n2 corruptions, 3 leaked clusters only, 63 the "
		"format has nothing to check.\n-r leaks frees nothing while an "
		"entry is corrupt.",
	.options = options,
	.run = run_check_verb,
};
