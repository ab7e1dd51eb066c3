/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connect.h: a device's image and rings in the hands of its worker: what is
 * asked of it, and what its answers mean for the device (failed, dirty).
 */
#ifndef XD_SUPERVISOR_CONNECT_H
#define XD_SUPERVISOR_CONNECT_H

#include "backend/supervisor/device.h"

/* Of a new device, before all else. */
void connect_init(struct device *dev);

/* Looks at the image early, so that errors show before the guest runs. */
void connect_probe(struct device *dev);

/* Opens the image, then reads the frontend's nodes and maps its rings; or
 * tries again, if it is time. */
void connect_device(struct device *dev);

#endif
