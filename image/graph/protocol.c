/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol.c: see protocol.h. */
#include "config.h"
#include "image/graph/protocol.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "image/driver.h"

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

static const struct image_driver *load_protocol(const struct image_protocol *p,
						struct error *err)
{
	void *module = open_module(p->module);
	const struct image_driver *driver =
		module ? dlsym(module, "image_protocol") : NULL;

	if (!driver)
		error_set(err, ENOTSUP, "names that begin with '%s:' need the "
			  "module xdisk-%s.so, which cannot be loaded: %s "
			  "(a file of that name is 'file:%s:...')", p->name,
			  p->module, dlerror(), p->name);
	return driver;
}

static const struct image_driver *driver_of(const struct image_protocol *p,
					    struct error *err)
{
	return p->driver ? p->driver : load_protocol(p, err);
}

static const struct image_protocol *find_protocol(const char *name, size_t len)
{
	for (const struct image_protocol *p = image_protocols; p->name; p++)
		if (!strncmp(name, p->name, len) && !p->name[len])
			return p;
	return NULL;
}

const struct image_driver *protocol_of(const char **path, struct error *err)
{
	size_t n = strcspn(*path, ":");
	const struct image_protocol *p =
		(*path)[n] ? find_protocol(*path, n) : NULL;

	if (p && !p->no_scheme) {
		if (p->driver && p->driver->host_file)
			*path += n + 1;
		return driver_of(p, err);
	}
	if (strncmp(*path, "json:", 5))
		return protocol_named("file", err);
	error_set(err, ENOTSUP, "'%s' describes an image, which is only taken "
		  "where one is opened by xdisk (a file of that name is "
		  "'file:json:...')", *path);
	return NULL;
}

const struct image_driver *protocol_named(const char *name, struct error *err)
{
	const struct image_protocol *p = find_protocol(name, strlen(name));

	if (p)
		return driver_of(p, err);
	error_set(err, ENOTSUP, "Unknown protocol '%s' (known: %s)", name,
		  image_protocol_names());
	return NULL;
}

bool image_is_remote(const char *path)
{
	const struct image_driver *driver = protocol_of(&path, NULL);

	return driver && !driver->host_file;
}

bool protocol_of_host(const char *name)
{
	const struct image_protocol *p = find_protocol(name, strlen(name));

	return p && p->driver && p->driver->host_file;
}

const char *image_protocol_names(void)
{
	static char names[256];
	size_t len = 0;

	for (const struct image_protocol *p = image_protocols; p->name; p++)
		if (p->listed && len < sizeof(names))
			len += (size_t)snprintf(names + len,
						sizeof(names) - len, "%s%s",
						len ? " " : "", p->name);
	return names;
}

bool image_protocol_known(const char *name)
{
	return protocol_named(name, NULL);
}
