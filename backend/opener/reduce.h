/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reduce.h: the opener keeps what it takes to open files, and nothing else. */
#ifndef XD_BACKEND_OPENER_REDUCE_H
#define XD_BACKEND_OPENER_REDUCE_H

#include "common/error.h"

/* For good, and for all threads to come. -errno and a sentence. */
int reduce_rights(struct error *err);

#endif
