/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reach: whether a driver's device accesses a chunk itself.
 */
#ifndef CM_REACH_H
#define CM_REACH_H

#include <linux/types.h>

struct cm_chunk;
struct device;
struct sg_table;

int cm_reach_check(const struct cm_chunk *chunk, struct device *dev);
bool cm_reach_is_bounced(const struct cm_chunk *chunk, struct device *dev,
			 struct sg_table *table);

#endif /* CM_REACH_H */
