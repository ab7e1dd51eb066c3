/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * redirect.h: a transfer by libcurl, as far as its server may lead it.
 *
 * A redirect stays with the host, the port and the scheme of the URL that was
 * given, or goes from http to https of that host. Else a server could make us
 * ask, in its place, what only we can reach: a service of this machine, say.
 */
#ifndef XD_IMAGE_REDIRECT_H
#define XD_IMAGE_REDIRECT_H

#include <curl/curl.h>

#include "common/error.h"

/* curl_easy_perform() on `url` and what it leads to, some redirects at most;
 * their own bodies go to the handle's callbacks, too, with a status of 3xx.
 * Blocks. -EIO with a sentence, -ENOMEM. */
int redirect_perform(CURL *handle, const char *url, struct error *err);

#endif
