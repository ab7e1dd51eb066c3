/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * progress.h: how far a long verb has come.
 *
 * With -p one line is rewritten in place, at most ten times a second, on stdout,
 * or on stderr where stdout carries data, if that is a terminal:
 *
 *	    (12.34/100%)  123 MiB/s, 0:42 left
 *
 * SIGUSR1 prints such a line on stderr at any time, also without -p or a
 * terminal. There is one verb in a process, so there is one progress.
 */
#ifndef XD_TOOL_PROGRESS_H
#define XD_TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct image_progress;

/* `data`: stdout carries an image or JSON. Also takes SIGUSR1 over, which would
 * end the program. */
void progress_begin(bool wanted, bool data);
/* `done` of `total` bytes have been dealt with. */
void progress_set(uint64_t done, uint64_t total);
/* The same for what the engine does. */
extern const struct image_progress progress_of_engine;
/* Shows the end, when all went well, and leaves the line. */
void progress_end(bool complete);

#endif
