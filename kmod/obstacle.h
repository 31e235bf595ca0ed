/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Obstacle: pages of the system that would not leave a shared context.
 */
#ifndef CM_OBSTACLE_H
#define CM_OBSTACLE_H

#include <linux/types.h>

/* More than these, and the context is called busy. */
#define CM_OBSTACLES_MAX	32

/**
 * struct cm_obstacles - pageblocks that a search, or a compaction for it, gave
 *                       up on
 * @error: what the last one failed with, 0 when there is none
 * @count: number of them
 * @full:  one had no room here
 * @start: their first page frame numbers, in ascending order
 */
struct cm_obstacles {
	int error;
	unsigned int count;
	bool full;
	unsigned long start[CM_OBSTACLES_MAX];
};

void cm_obstacles_add(struct cm_obstacles *obstacles, unsigned long pfn,
		      int error);

#endif /* CM_OBSTACLE_H */
