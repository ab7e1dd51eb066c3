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
 * predecessor of ours has left (DEVICE_OFFERED). 0 and NULL: it is not for us.
 * Quick, so that all devices of a guest are claimed before anything else.
 */
int claim_device(const struct host *host, enum device_kind kind,
		 uint32_t domid, uint32_t devid, struct device **out);

/* Shows the device to its frontend, features and state 2 in one transaction.
 * True when it is done. */
bool claim_offer(struct device *dev);
/* Of an adopted device: a predecessor may have offered less, or more. */
void claim_offer_again(struct device *dev);
/* Undoes a claim: the device waits for a backend again. */
void claim_give_back(struct device *dev);

/* Has a QEMU made the device its own, too? Then it is left to QEMU, without a
 * node of ours: DEVICE_YIELDED. */
bool claim_yield_to_qemu(struct device *dev, enum xenbus_state be);

#endif
