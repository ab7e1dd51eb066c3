/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frame.h: the program around the verbs.
 *
 * It finds the verb that was asked for, runs it in a coroutine of a loop of its
 * own, and knows help, completion and version. Which verbs there are is the
 * caller's to say.
 */
#ifndef XD_TOOL_FRAME_H
#define XD_TOOL_FRAME_H

#include "tool/verb.h"

/* verbs: ended by NULL. The exit status, to be returned from main(). */
int tool_main(const struct verb *const *verbs, int argc, char **argv);

#endif
