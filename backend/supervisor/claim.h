/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * claim.h: whose is a device: ours, QEMU's, or nobody's yet?
 *
 * Nothing here waits but for xenstored; what is to be done when it is time is
 * xenbus.h's to decide.
 */
#ifndef XD_SUPERVISOR_CLAIM_H
#define XD_SUPERVISOR_CLAIM_H

#include "backend/supervisor/device.h"

/*
 * Takes a device that waits for a backend (DEVICE_CLAIMED), or one that a
 * predecessor of ours has left (DEVICE_OFFERED), which gets the features that
 * we have. DEVICE_SEEN: xenstore refuses what is to be written; claim_again().
 * NULL: it is not for us. Quick, so that all devices of a guest are claimed
 * before anything else. -ENOMEM.
 */
int claim_device(const struct host *host, enum device_kind kind,
		 uint32_t domid, uint32_t devid, struct device **out);

/* All of these: 0, or -errno of xenstore; -ESTALE when the device is not as it
 * should be for that any more. */

/* -ENODEV: it is not for us any more. */
int claim_again(struct device *dev);
/* Shows the device to its frontend, features and state 2 in one transaction. */
int claim_offer(struct device *dev);
/* Undoes a claim: the device waits for a backend again. */
int claim_give_back(struct device *dev);
/* Of one that was left to QEMU: takes our nodes away. */
int claim_clear(struct device *dev);

/* Has a QEMU made the device its own, too? Then it is left to QEMU, without a
 * node of ours: DEVICE_YIELDED, and claim_clear() is due. */
bool claim_yield_to_qemu(struct device *dev, enum xenbus_state be);

#endif
