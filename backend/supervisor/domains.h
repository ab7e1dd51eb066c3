/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* domains.h: is a domain still alive? By libxenctrl, whose handle it wraps. */
#ifndef XD_BACKEND_DOMAINS_H
#define XD_BACKEND_DOMAINS_H

#include <stdbool.h>
#include <stdint.h>

struct domains;

/* NULL where we may not ask (a driver domain): all count as alive then, and
 * their ends show in xenstore only. */
struct domains *domains_open(void);
void domains_close(struct domains *d);

/* False when it is dying or gone. */
bool domains_alive(struct domains *d, uint32_t domid);

#endif
