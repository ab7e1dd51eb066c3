/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk snapshot: internal snapshots: lists, makes, goes back to, gives up.
 *
 * Backing images are not opened: a snapshot is of this image alone.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "image/info.h"
#include "image/snapshots.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/snapshots.h"
#include "tool/verbs/verbs.h"

struct snapshot {
	struct loop *loop;
	struct tool_common common;
	const char *path;
	int action;			/* 'l', 'a', 'c', 'd'; 0: none given */
	const char *name;
};

static const struct tool_option options[] = {
	{ 'l', "list", NULL, "list the snapshots" },
	{ 'c', "create", "NAME", "make a snapshot of the disk as it is" },
	{ 'a', "apply", "SNAPSHOT", "go back to a snapshot" },
	{ 'd', "delete", "SNAPSHOT", "give a snapshot up" },
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	TOOL_OUTPUT,
	TOOL_QUIET,
	TOOL_SHARE,
	TOOL_END,
};

/* ---- listing ---- */

static int print_snapshots(struct image *img, bool json)
{
	struct error err = ERROR_INIT;
	struct image_info info;
	int ret;

	ret = image_get_info(img, &info, &err);
	if (ret)
		ret = tool_error("%s", error_text(&err, ret));
	else if (json)
		ret = tool_json_print(tool_json_snapshots(&info));
	else
		tool_print_snapshots(&info);
	image_info_free(&info);
	return ret;
}

/* ---- changes ---- */

static int change_snapshots(struct snapshot *s, struct image *img)
{
	const char *what = NULL;
	struct error err = ERROR_INIT;
	int ret = -EINVAL;

	switch (s->action) {
	case 'a':
		what = "apply";
		ret = image_snapshot_apply(img, s->name, &err);
		break;
	case 'c':
		what = "create";
		ret = image_snapshot_create(img, s->name, &err);
		break;
	case 'd':
		what = "delete";
		ret = image_snapshot_delete(img, s->name, &err);
		break;
	}
	return ret ? tool_error("Could not %s snapshot '%s': %s", what, s->name,
				error_text(&err, ret)) : EXIT_OK;
}

static int run_action(struct snapshot *s)
{
	bool list = s->action == 'l';
	unsigned int flags = IMAGE_NO_BACKING | (list ? IMAGE_NO_IO : IMAGE_RDWR);
	struct image *img;
	int ret, closed;

	img = tool_open(s->loop, s->path, &s->common, flags);
	if (!img)
		return EXIT_FAILED;
	ret = list ? EXIT_OK : change_snapshots(s, img);
	if (!ret && (list || s->common.json))
		ret = print_snapshots(img, s->common.json);
	closed = tool_close(img);
	return ret ? ret : closed;
}

/* ---- options ---- */

static int snapshot_option(struct snapshot *s, int id, const char *arg)
{
	switch (id) {
	case 'l':
	case 'a':
	case 'c':
	case 'd':
		if (s->action)
			return tool_usage(&verb_snapshot, "Cannot mix '-l', "
					  "'-a', '-c', '-d'");
		s->action = id;
		s->name = arg;
		return 0;
	default:
		return tool_common_option(&s->common, id, arg);
	}
}

static int run_snapshot(struct loop *loop, int argc, char **argv)
{
	struct snapshot s = {
		.loop = loop,
		.common.cache = IMAGE_CACHE_WRITEBACK,
	};
	int id;

	while ((id = tool_getopt(&verb_snapshot, argc, argv)) != -1)
		if (snapshot_option(&s, id, optarg))
			return EXIT_FAILED;
	if (argc - optind != 1)
		return tool_usage(&verb_snapshot, "Expecting one image file "
				  "name");
	s.path = argv[optind];
	if (!s.action)
		s.action = 'l';
	if (s.action == 'l')
		s.common.quiet = true;	/* a guess writes nothing */
	else if (s.common.share)
		return tool_usage(&verb_snapshot, "an image that others use (-U) "
				  "cannot be changed");
	return run_action(&s);
}

const struct verb verb_snapshot = {
	.name = "snapshot",
	.summary = "list, make, go back to and delete internal snapshots",
	.usage = "FILE",
	.more = "SNAPSHOT is a name or an id: -a looks for an id first, -d for a "
		"name. Going back\ngives up what the disk holds now.",
	.options = options,
	.run = run_snapshot,
};
