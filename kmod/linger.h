/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Linger: granules that are taken and empty, until they go back to the system.
 */
#ifndef CM_LINGER_H
#define CM_LINGER_H

#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "placement.h"

/**
 * struct cm_linger - what gives empty granules back
 * @map:      whose granules; of no size when none is given back any more
 * @work:     gives back those that have been empty for long enough
 * @shrinker: gives back all when the system needs memory
 */
struct cm_linger {
	struct cm_placement *map;
	/** @lock: protects them */
	spinlock_t *lock;
	struct delayed_work work;
	struct cm_shrinker shrinker;
};

void cm_linger_init(struct cm_linger *linger,
		    struct cm_placement *map, spinlock_t *lock);
int cm_linger_open(struct cm_linger *linger, const char *name);
void cm_linger_close(struct cm_linger *linger);
void cm_linger_begin(struct cm_linger *linger);

#endif /* CM_LINGER_H */
