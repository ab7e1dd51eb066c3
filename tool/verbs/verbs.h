/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verbs.h: the records of all verbs, each in NAME.c, but io in io/shell.c. */
#ifndef XD_TOOL_VERBS_VERBS_H
#define XD_TOOL_VERBS_VERBS_H

#include "tool/verb.h"

extern const struct verb verb_amend;
extern const struct verb verb_bench;
extern const struct verb verb_bitmap;
extern const struct verb verb_check;
extern const struct verb verb_commit;
extern const struct verb verb_compact;
extern const struct verb verb_compare;
extern const struct verb verb_convert;
extern const struct verb verb_create;
extern const struct verb verb_dd;
extern const struct verb verb_info;
extern const struct verb verb_io;
extern const struct verb verb_map;
extern const struct verb verb_measure;
extern const struct verb verb_rebase;
extern const struct verb verb_resize;
extern const struct verb verb_serve;
extern const struct verb verb_snapshot;
extern const struct verb verb_verify;

#endif
