/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * life.h: a device from its claim to its end: does in xenstore, and through the
 * worker, what xenbus.h decides.
 */
#ifndef XD_SUPERVISOR_LIFE_H
#define XD_SUPERVISOR_LIFE_H

#include "backend/supervisor/device.h"

/* After claim_device(), when all of a burst are claimed: reads what the
 * toolstack wants. Does so later for one that is only seen. */
void life_begin(struct device *dev);

/* Reads both states and does what they ask for. */
void life_step(struct device *dev);

/* Does what is due; else lowers *next_ns to when something will be. */
void life_tick(struct device *dev, uint64_t now_ns, uint64_t *next_ns);

/* Nothing mapped or open, and nothing left to do in xenstore, or nothing that
 * it takes. */
bool life_parked(struct device *dev);
/* Forgotten, and its worker has ended: device_free() it. */
bool life_over(const struct device *dev);

#endif
