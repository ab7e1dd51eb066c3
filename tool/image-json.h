/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-json.h: the object behind "json:" as a list of options.
 *
 * {"driver":"raw","file":{"filename":"a"},"x":[{"y":1}]} is driver=raw,
 * file.filename=a and x.0.y=1. Strings may stand in single quotes, as QEMU has
 * it; null is an empty value and only known of "backing".
 */
#ifndef XD_TOOL_IMAGE_JSON_H
#define XD_TOOL_IMAGE_JSON_H

#include "common/error.h"

/* Calls add() for each; what it does not return as 0 is returned. -EINVAL with
 * the sentence, -ENOMEM. */
int image_json_parse(const char *text,
		     int (*add)(void *arg, const char *key, const char *value),
		     void *arg, struct error *err);

#endif
