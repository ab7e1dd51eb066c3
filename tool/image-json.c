/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-json.c: see image-json.h. */
#include "tool/image-json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"

#define MAX_KEY 1024		/* bytes, of a key with all above it */
/* More than a graph has. A parser goes as deep into the stack as its text is
 * nested, and that of a coroutine is small. */
#define MAX_NESTING 80

struct flattening {
	int (*add)(void *arg, const char *key, const char *value);
	void *arg;
	struct error *err;
	char key[MAX_KEY];		/* of the value that is looked at */
};

/* Brackets in one another; those in strings do not count. */
static unsigned int nesting(const char *text)
{
	unsigned int depth = 0, most = 0;
	bool quoted = false;

	for (; *text; text++) {
		if (quoted && *text == '\\' && text[1])
			text++;
		else if (*text == '"')
			quoted = !quoted;
		else if (!quoted && (*text == '{' || *text == '['))
			most = max(most, ++depth);
		else if (!quoted && (*text == '}' || *text == ']') && depth)
			depth--;
	}
	return most;
}

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

static int flatten_json(struct flattening *f, const json_t *value);

/* The value's key is f->key and `below`. */
static int flatten_below(struct flattening *f, const char *below,
			 const json_t *value)
{
	size_t len = strlen(f->key), room = sizeof(f->key) - len;
	int ret;

	if (snprintf(f->key + len, room, "%s%s", len ? "." : "", below) >=
	    (int)room)
		return error_set(f->err, EINVAL, "json: names are too long");
	ret = flatten_json(f, value);
	f->key[len] = '\0';
	return ret;
}

static int flatten_object(struct flattening *f, const json_t *object)
{
	/* jansson reads through it only, but does not say so. */
	json_t *o = (json_t *)object, *value;
	const char *below;
	int ret = 0;

	json_object_foreach(o, below, value) {
		ret = flatten_below(f, below, value);
		if (ret)
			break;
	}
	return ret;
}

static int flatten_array(struct flattening *f, const json_t *array)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < json_array_size(array); i++) {
		char below[24];

		snprintf(below, sizeof(below), "%zu", i);
		ret = flatten_below(f, below, json_array_get(array, i));
	}
	return ret;
}

static int flatten_null(struct flattening *f)
{
	size_t len = strlen(f->key);

	if (!strcmp(f->key, "backing") ||
	    (len > 8 && !strcmp(f->key + len - 8, ".backing")))
		return f->add(f->arg, f->key, "");
	return error_set(f->err, EINVAL, "json: '%s' may not be null", f->key);
}

static int flatten_integer(struct flattening *f, json_int_t value)
{
	char number[32];

	snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, value);
	return f->add(f->arg, f->key, number);
}

static int flatten_json(struct flattening *f, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return flatten_object(f, value);
	case JSON_ARRAY:
		return flatten_array(f, value);
	case JSON_STRING:
		return f->add(f->arg, f->key, json_string_value(value));
	case JSON_TRUE:
		return f->add(f->arg, f->key, "on");
	case JSON_FALSE:
		return f->add(f->arg, f->key, "off");
	case JSON_INTEGER:
		return flatten_integer(f, json_integer_value(value));
	case JSON_REAL:
		return error_set(f->err, EINVAL, "json: '%s' is no whole "
				 "number", f->key);
	case JSON_NULL:
		return flatten_null(f);
	}
	return -EINVAL;
}

int image_json_parse(const char *text,
		     int (*add)(void *arg, const char *key, const char *value),
		     void *arg, struct error *err)
{
	struct flattening f = { .add = add, .arg = arg, .err = err };
	cleanup_free char *clean = with_double_quotes(text);
	json_error_t why;
	json_t *json;
	int ret;

	if (!clean)
		return -ENOMEM;
	if (nesting(clean) > MAX_NESTING)
		return error_set(err, EINVAL, "json: more than %d brackets in "
				 "one another", MAX_NESTING);
	json = json_loads(clean, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
			  &why);
	if (!json)
		return error_set(err, EINVAL, "Could not parse the JSON "
				 "options: %s", why.text);
	if (json_is_object(json))
		ret = flatten_json(&f, json);
	else
		ret = error_set(err, EINVAL, "Invalid JSON object given");
	json_decref(json);
	return ret;
}
