/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* object.c: see object.h. Names and values are those of QEMU's secrets. */
#include "tool/object.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "image/crypto/secret.h"
#include "tool/keyval.h"
#include "tool/message.h"

struct object {
	const char *type, *id, *data, *file, *format;
};

static const char **field_of(struct object *o, const char *key)
{
	const struct {
		const char *name, **field;
	} fields[] = {
		{ "qom-type", &o->type }, { "id", &o->id },
		{ "data", &o->data }, { "file", &o->file },
		{ "format", &o->format },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (!strcmp(key, fields[i].name))
			return fields[i].field;
	return NULL;
}

/* Six bits of base64, -1: not one of its letters. */
static int object_base64_value(char c)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(letters, c) : NULL;

	return at ? (int)(at - letters) : -1;
}

/* Blanks and newlines are passed over; "=" ends it. -EINVAL */
static int object_base64_decode(const char *in, size_t n, uint8_t *out,
				size_t *len)
{
	unsigned int bits = 0, nr_bits = 0, letters = 0;
	bool ended = false;

	*len = 0;
	for (size_t i = 0; i < n; i++) {
		int v = object_base64_value(in[i]);

		if (strchr(" \t\r\n", in[i]) && in[i])
			continue;
		letters++;
		ended |= in[i] == '=';
		if (in[i] == '=')
			continue;
		if (v < 0 || ended)
			return -EINVAL;
		bits = bits << 6 | (unsigned int)v;
		nr_bits += 6;
		if (nr_bits < 8)
			continue;
		nr_bits -= 8;
		out[(*len)++] = (uint8_t)(bits >> nr_bits);
	}
	return letters % 4 ? -EINVAL : 0;
}

static int add_base64(const char *id, const char *text, size_t n)
{
	cleanup_secret uint8_t *out = secret_alloc(n + 1);
	struct error err = ERROR_INIT;
	size_t len;
	int ret;

	if (!out)
		return tool_error("out of memory");
	if (object_base64_decode(text, n, out, &len))
		return tool_error("secret '%s': the data is not valid base64",
				  id);
	ret = secret_add(id, out, len, &err);
	return ret ? tool_error("%s", error_text(&err, ret)) : EXIT_OK;
}

static int add_secret(const struct object *o)
{
	cleanup_secret uint8_t *bytes = NULL;
	const void *data = o->data;
	size_t len = o->data ? strlen(o->data) : 0;
	struct error err = ERROR_INIT;
	int ret;

	if (!o->data == !o->file)
		return tool_error("secret '%s': %s", o->id, o->data ?
				  "'file' and 'data' are mutually exclusive" :
				  "Must provide 'file' or 'data' property");
	if (o->file) {
		data = bytes = secret_read(strcmp(o->file, "-") ? o->file :
					   "/dev/stdin", &len, &err);
		if (!bytes)
			return tool_error("%s", err.msg);
	}
	if (o->format && !strcmp(o->format, "base64"))
		return add_base64(o->id, data, len);
	if (o->format && strcmp(o->format, "raw"))
		return tool_error("secret '%s': format must be raw or base64, "
				  "not '%s'", o->id, o->format);
	ret = secret_add(o->id, data, len, &err);
	return ret ? tool_error("%s", error_text(&err, ret)) : EXIT_OK;
}

static int validate_object(const struct keyvals *kv, struct object *o)
{
	const char **field;

	for (unsigned int i = 0; i < kv->nr; i++) {
		field = field_of(o, kv->v[i].key);
		if (!field)
			return tool_error("--object: Property 'secret.%s' not "
					  "found (known: id, data, file, "
					  "format)", kv->v[i].key);
		*field = kv->v[i].value;
	}
	if (!o->type || strcmp(o->type, "secret"))
		return tool_error("--object: invalid object type '%s' (known: "
				  "secret)", o->type ? o->type : "");
	if (!o->id || !*o->id)
		return tool_error("--object: Parameter 'id' is missing");
	return EXIT_OK;
}

int tool_object(const char *text)
{
	struct object o = { 0 };
	struct keyvals kv;
	int ret;

	if (keyval_parse(&kv, text, "qom-type"))
		return tool_error("out of memory");
	ret = validate_object(&kv, &o);
	if (!ret)
		ret = add_secret(&o);
	keyval_free(&kv);
	return ret;
}
