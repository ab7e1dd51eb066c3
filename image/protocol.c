/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol.c: see protocol.h. */
#include "config.h"
#include "image/protocol.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"

static const struct scheme {
	const char *prefix;
	const struct image_driver *driver;
	const char *module;		/* if it has no driver built in */
} schemes[] = {
	{ "blkdebug:", &image_blkdebug_driver, NULL },
	{ "blkverify:", &image_blkverify_driver, NULL },
	{ "file:", &image_file_driver, NULL },
	{ "ftp:", NULL, "curl" },
	{ "ftps:", NULL, "curl" },
	{ "http:", NULL, "curl" },
	{ "https:", NULL, "curl" },
	{ "nbd:", NULL, "nbd" },
	{ "nbd+unix:", NULL, "nbd" },
	{ "nbds:", NULL, "nbd" },
	{ "nbds+unix:", NULL, "nbd" },
	{ "null-aio:", &image_null_driver, NULL },
	{ "null-co:", &image_null_driver, NULL },
};

/* Uninstalled programs have their modules in the build tree's image/. */
static void *open_module(const char *name)
{
	char file[PATH_MAX], self[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;
	void *module;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash) {
		*slash = '\0';
		if (snprintf(file, sizeof(file), "%s/../image/xdisk-%s.so",
			     self, name) < (int)sizeof(file)) {
			module = dlopen(file, RTLD_NOW | RTLD_LOCAL);
			if (module)
				return module;
		}
	}
	snprintf(file, sizeof(file), "%s/xdisk-%s.so", XD_LIBEXECDIR, name);
	return dlopen(file, RTLD_NOW | RTLD_LOCAL);
}

static const struct image_driver *load(const struct scheme *s,
				       struct error *err)
{
	void *module = open_module(s->module);
	const struct image_driver *driver =
		module ? dlsym(module, "image_protocol") : NULL;

	if (!driver)
		error_set(err, ENOTSUP, "names that begin with '%s' need the "
			  "module xdisk-%s.so, which cannot be loaded: %s "
			  "(a file of that name is 'file:%s...')", s->prefix,
			  s->module, dlerror(), s->prefix);
	return driver;
}

const struct image_driver *protocol_of(const char **path, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		const struct scheme *s = &schemes[i];
		size_t n = strlen(s->prefix);

		if (strncmp(*path, s->prefix, n))
			continue;
		if (s->driver == &image_file_driver)
			*path += n;
		return s->driver ? s->driver : load(s, err);
	}
	if (strncmp(*path, "json:", 5))
		return &image_file_driver;
	error_set(err, ENOTSUP, "'%s' describes an image, which is only taken "
		  "where one is opened by xdisk (a file of that name is "
		  "'file:json:...')", *path);
	return NULL;
}

static const struct {
	const char *name;
	const struct image_driver *driver;
} named[] = {
	{ "host_cdrom", &image_file_driver },
	{ "host_device", &image_file_driver },
};

const struct image_driver *protocol_named(const char *name, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(named); i++)
		if (!strcmp(name, named[i].name))
			return named[i].driver;
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		const struct scheme *s = &schemes[i];
		size_t n = strlen(s->prefix) - 1;

		if (!strncmp(name, s->prefix, n) && !name[n])
			return s->driver ? s->driver : load(s, err);
	}
	error_set(err, ENOTSUP, "Unknown protocol '%s' (known: %s)", name,
		  image_protocol_names());
	return NULL;
}

const char *image_protocol_names(void)
{
	return "file null-co"
#ifdef HAVE_LIBCURL
	       " ftp ftps http https"
#endif
#ifdef HAVE_LIBNBD
	       " nbd"
#endif
		;
}
