/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-json.c: see image-json.h. */
#include "tool/image-json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define MAX_KEY 1024		/* bytes, of a key with all above it */

struct flattening {
	int (*add)(void *arg, const char *key, const char *value);
	void *arg;
	struct error *err;
};

/* In single quotes a double one stands for itself. NULL: no memory. */
static char *with_double_quotes(const char *text)
{
	char *copy = malloc(2 * strlen(text) + 1), *out = copy;
	char quote = '\0';

	for (; copy && *text; text++) {
		if (quote && *text == '\\' && text[1]) {
			if (text[1] != '\'')
				*out++ = '\\';
			*out++ = *++text;
		} else if (quote ? *text == quote :
				   *text == '\'' || *text == '"') {
			quote = quote ? '\0' : *text;
			*out++ = '"';
		} else {
			if (quote && *text == '"')
				*out++ = '\\';
			*out++ = *text;
		}
	}
	if (copy)
		*out = '\0';
	return copy;
}

static int flatten(const struct flattening *f, const char *key,
		   const json_t *value);

static int flatten_below(const struct flattening *f, const char *key,
			 const char *below, const json_t *value)
{
	char whole[MAX_KEY];

	if (snprintf(whole, sizeof(whole), "%s%s%s", key, *key ? "." : "",
		     below) >= (int)sizeof(whole))
		return error_set(f->err, EINVAL, "json: names are too long");
	return flatten(f, whole, value);
}

static int flatten_object(const struct flattening *f, const char *key,
			  const json_t *object)
{
	/* jansson reads through it only, but does not say so. */
	json_t *o = (json_t *)object, *value;
	const char *below;
	int ret = 0;

	json_object_foreach(o, below, value) {
		ret = flatten_below(f, key, below, value);
		if (ret)
			break;
	}
	return ret;
}

static int flatten_array(const struct flattening *f, const char *key,
			 const json_t *array)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < json_array_size(array); i++) {
		char below[24];

		snprintf(below, sizeof(below), "%zu", i);
		ret = flatten_below(f, key, below, json_array_get(array, i));
	}
	return ret;
}

static int flatten(const struct flattening *f, const char *key,
		   const json_t *value)
{
	char number[32];

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return flatten_object(f, key, value);
	case JSON_ARRAY:
		return flatten_array(f, key, value);
	case JSON_STRING:
		return f->add(f->arg, key, json_string_value(value));
	case JSON_TRUE:
		return f->add(f->arg, key, "on");
	case JSON_FALSE:
		return f->add(f->arg, key, "off");
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(value));
		return f->add(f->arg, key, number);
	case JSON_REAL:
		return error_set(f->err, EINVAL, "json: '%s' is no whole "
				 "number", key);
	case JSON_NULL:
		break;
	}
	if (!strcmp(key, "backing") ||
	    (strlen(key) > 8 && !strcmp(key + strlen(key) - 8, ".backing")))
		return f->add(f->arg, key, "");
	return error_set(f->err, EINVAL, "json: '%s' may not be null", key);
}

int image_json_parse(const char *text,
		     int (*add)(void *arg, const char *key, const char *value),
		     void *arg, struct error *err)
{
	const struct flattening f = { add, arg, err };
	cleanup_free char *clean = with_double_quotes(text);
	json_error_t why;
	json_t *json;
	int ret;

	if (!clean)
		return -ENOMEM;
	json = json_loads(clean, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
			  &why);
	if (!json)
		return error_set(err, EINVAL, "Could not parse the JSON "
				 "options: %s", why.text);
	if (json_is_object(json))
		ret = flatten(&f, "", json);
	else
		ret = error_set(err, EINVAL, "Invalid JSON object given");
	json_decref(json);
	return ret;
}
