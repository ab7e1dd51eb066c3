/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk.conf: the input is the file; up to its first empty line it is also
 * lines of "section|key|value" for conf_set().
 *
 * What must hold: a value that was taken is one that the programs know what to
 * do with, and one that was not is told with a reason.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/arguments.h"
#include "backend/conf.h"
#include "backend/rings.h"
#include "common/io-modes.h"
#include "opener/policy.h"

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* As they go to a worker. */
static void judge_sent(const struct image_settings *s)
{
	struct disk_arguments there, here = {
		.path = "/a", .format = "raw", .section = "here",
		.cache = s->cache, .aio = s->aio, .memory = s->memory,
		.l2_cache_size = s->l2_cache_size,
		.secret_file = s->secret_file, .data_file = s->data_file,
		.image_dirs = s->image_dirs,
	};
	json_t *packed = disk_arguments_pack(&here);

	MUST(packed && !disk_arguments_unpack(packed, &there));
	MUST(there.memory == here.memory);
	MUST(there.l2_cache_size == here.l2_cache_size);
	MUST(same_text(there.cache, here.cache));
	MUST(same_text(there.secret_file, here.secret_file));
	MUST(same_text(there.data_file, here.data_file));
	MUST(same_text(there.image_dirs, here.image_dirs));
	disk_arguments_free(&there);
	json_decref(packed);
}

static void judge_settings(const struct image_settings *s)
{
	enum image_cache cache;
	enum aio_kind aio;

	MUST(!s->cache || !image_parse_cache(s->cache, &cache));
	MUST(!s->aio || !aio_parse_kind(s->aio, &aio));
	MUST(!s->legacy_aes || !strcmp(s->legacy_aes, "yes") ||
	     !strcmp(s->legacy_aes, "no"));
	MUST(!s->data_file || *s->data_file == '/' ||
	     !strcmp(s->data_file, "none") || !strcmp(s->data_file, "beside"));
	MUST(!s->image_dirs || !policy_judge_dirs(s->image_dirs, NULL));
	judge_sent(s);
}

static void judge_conf(const struct conf *c)
{
	const struct image_settings *s;

	MUST(c->max_queues >= 1 && c->max_queues <= LIMIT_QUEUES);
	MUST(c->log_level <= LOG_LEVEL_DEBUG);
	MUST(c->file && c->run_dir);
	judge_settings(&c->defaults);
	list_for_each(s, &c->images, link) {
		MUST(s->name);
		judge_settings(s);
	}
}

/* Of an image for which it may have sections. */
static void ask_conf(const struct conf *c, const char *path)
{
	struct image_settings s;
	char *section;

	conf_for_image(c, path, &s);
	judge_settings(&s);
	section = conf_section_for(c, path);
	MUST(section && strstr(section, "section ["));
	free(section);
}

static void read_whole(const char *file, const char *section)
{
	struct error err = ERROR_INIT;
	struct conf c;
	int ret;

	MUST(!conf_init(&c, file));
	ret = conf_read(&c, section, &err);
	MUST(ret == 0 || (ret == -EINVAL && strstr(err.msg, file)));
	judge_conf(&c);
	if (ret == 0 && !section) {
		ask_conf(&c, "/a.img");
		ask_conf(&c, "/srv/b");
	}
	conf_free(&c);
}

static void set_line(struct conf *c, char *line)
{
	struct error err = ERROR_INIT;
	char *key = strchr(line, '|');
	char *value = key ? strchr(key + 1, '|') : NULL;
	int ret;

	if (!value)
		return;
	*key++ = *value++ = '\0';
	ret = conf_set(c, line, key, value, &err);
	MUST(ret == 0 || (ret == -EINVAL && err.msg[0]));
	judge_conf(c);
}

static void set_lines(char *text)
{
	struct conf c;

	MUST(!conf_init(&c, "/etc/xdisk.conf"));
	while (*text && *text != '\n') {
		char *eol = strchr(text, '\n'), *next;

		next = eol ? eol + 1 : text + strlen(text);
		if (eol)
			*eol = '\0';
		set_line(&c, text);
		text = next;
	}
	conf_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("xdisk.conf", MFD_CLOEXEC);
	char file[32], *text = malloc(size + 1);

	MUST(fd >= 0 && text && write(fd, data, size) == (ssize_t)size);
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	read_whole(file, NULL);
	read_whole(file, "xdisk");
	close(fd);
	memcpy(text, data, size);
	text[size] = '\0';
	set_lines(text);
	free(text);
	return 0;
}
