/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* redirect.c: see redirect.h. */
#include "image/protocols/redirect.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define MAX_REDIRECTS 5

/* Freed by curl_free(); NULL where an URL has none. */
static char *url_part(CURLU *url, CURLUPart which)
{
	char *text = NULL;

	curl_url_get(url, which, &text, CURLU_DEFAULT_PORT);
	return text;
}

struct origin {
	char *scheme, *host, *port;
};

static void read_origin(CURLU *url, struct origin *o)
{
	o->scheme = url_part(url, CURLUPART_SCHEME);
	o->host = url_part(url, CURLUPART_HOST);
	o->port = url_part(url, CURLUPART_PORT);
}

static void free_origin(struct origin *o)
{
	curl_free(o->scheme);
	curl_free(o->host);
	curl_free(o->port);
}

static bool may_lead(const struct origin *from, const struct origin *to)
{
	if (strcasecmp(from->host, to->host))
		return false;
	if (!strcmp(from->scheme, to->scheme))
		return !strcmp(from->port, to->port);
	return !strcmp(from->scheme, "http") && !strcmp(to->scheme, "https");
}

static int judge_origins(const struct origin *from, const struct origin *to,
			 struct error *err)
{
	if (!from->scheme || !from->host || !from->port || !to->scheme ||
	    !to->host)
		return error_set(err, EIO, "a redirect to no host");
	if (to->port && may_lead(from, to))
		return 0;
	return error_set(err, EIO, "%s://%.200s:%s redirects to %.20s://%.200s:"
			 "%s: only the same host, port and scheme are "
			 "followed, or https for http", from->scheme,
			 from->host, from->port, to->scheme, to->host,
			 to->port ? to->port : "");
}

static int judge_redirect(CURLU *from, CURLU *to, struct error *err)
{
	struct origin a, b;
	int ret;

	read_origin(from, &a);
	read_origin(to, &b);
	ret = judge_origins(&a, &b, err);
	free_origin(&a);
	free_origin(&b);
	return ret;
}

/* They are the host's, and it is the same one. */
static void keep_credentials(CURLU *from, CURLU *to)
{
	char *user = url_part(from, CURLUPART_USER);
	char *password = url_part(from, CURLUPART_PASSWORD);

	if (user) {
		curl_url_set(to, CURLUPART_USER, user, 0);
		curl_url_set(to, CURLUPART_PASSWORD, password, 0);
	}
	curl_free(user);
	curl_free(password);
}

static int parse_url(const char *text, CURLU **url, struct error *err)
{
	*url = curl_url();
	if (!*url)
		return -ENOMEM;
	if (curl_url_set(*url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME))
		return error_set(err, EIO, "%.200s is no URL", text);
	return 0;
}

/* *to: where the answer leads, NULL: it is the file. */
static int look_for_redirect(CURL *handle, CURLU *from, CURLU **to,
			     struct error *err)
{
	const char *where = NULL;
	long status = 0;
	int ret;

	curl_easy_getinfo(handle, CURLINFO_REDIRECT_URL, &where);
	curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
	if (!where)
		return status / 100 != 3 ? 0 :
		       error_set(err, EIO, "the server answers with status "
				 "%ld, and no file", status);
	ret = parse_url(where, to, err);
	if (ret == 0)
		ret = judge_redirect(from, *to, err);
	if (ret == 0)
		keep_credentials(from, *to);
	return ret;
}

static int perform_once(CURL *handle, CURLU *url, struct error *err)
{
	char text[CURL_ERROR_SIZE] = "";
	CURLcode code;

	curl_easy_setopt(handle, CURLOPT_CURLU, url);
	curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, text);
	code = curl_easy_perform(handle);
	curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, NULL);
	curl_easy_setopt(handle, CURLOPT_CURLU, NULL);
	if (!code)
		return 0;
	return error_set(err, EIO, "%s",
			 text[0] ? text : curl_easy_strerror(code));
}

int redirect_perform(CURL *handle, const char *url, struct error *err)
{
	CURLU *at = NULL, *next = NULL;
	int ret = parse_url(url, &at, err);

	for (int n = 0; ret == 0; n++) {
		ret = perform_once(handle, at, err);
		if (ret == 0)
			ret = look_for_redirect(handle, at, &next, err);
		if (ret < 0 || !next)
			break;
		if (n == MAX_REDIRECTS)
			ret = error_set(err, EIO, "more than %d redirects",
					MAX_REDIRECTS);
		curl_url_cleanup(at);
		at = next;
		next = NULL;
	}
	curl_url_cleanup(at);
	curl_url_cleanup(next);
	return ret;
}
