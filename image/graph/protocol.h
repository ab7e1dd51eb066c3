/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * protocol.h: which protocol a name that somebody typed belongs to.
 *
 * Names with a known scheme ("nbd:") belong to its protocol, all others are
 * files, colon or not; "file:" before a name says that it is one. "json:" is a
 * description that the tool takes apart (image_node) before it comes here.
 *
 * Protocols that need a library are modules, xdisk-NAME.so, loaded when a name
 * asks for them: a worker that serves files carries no TLS stack. A module
 * defines `const struct image_driver image_protocol`.
 */
#ifndef XD_IMAGE_PROTOCOL_H
#define XD_IMAGE_PROTOCOL_H

#include <stdbool.h>

#include "common/error.h"

struct image_driver;

/* The driver for *path; "file:" is taken off *path. NULL: said why. */
const struct image_driver *protocol_of(const char **path, struct error *err);
/* The same for a protocol that somebody has named: "file", "host_device"... */
const struct image_driver *protocol_named(const char *name, struct error *err);
/* Is it a name of the plain files and devices of this host? Loads nothing. */
/* Does it lie on a server, by its name? Loads what it takes to talk to that. */
bool image_is_remote(const char *path);
/* Is it one of files of this host? */
bool protocol_of_host(const char *name);

/* Protocols that a person may name, those of modules included, with a space
 * between them. */
const char *image_protocol_names(void);
bool image_protocol_known(const char *name);

#endif
