// SPDX-License-Identifier: GPL-2.0
/*
 * Obstacle: pages of the system that would not leave a shared context.
 *
 * They are told apart by the pageblock: which page of it stays nobody says.
 */
#include <linux/mm.h>

#include "obstacle.h"

/**
 * cm_obstacles_add() - remember a pageblock
 * @obstacles: those that are known
 * @pfn:       a page frame number in it
 * @error:     what taking it failed with
 */
void cm_obstacles_add(struct cm_obstacles *obstacles, unsigned long pfn,
		      int error)
{
	unsigned long start = ALIGN_DOWN(pfn, pageblock_nr_pages);
	unsigned int i = obstacles->count;

	obstacles->error = error;
	while (i && obstacles->start[i - 1] > start)
		i--;
	if (i && obstacles->start[i - 1] == start)
		return;
	if (obstacles->count == CM_OBSTACLES_MAX) {
		obstacles->full = true;
		return;
	}
	memmove(&obstacles->start[i + 1], &obstacles->start[i],
		(obstacles->count - i) * sizeof(obstacles->start[0]));
	obstacles->start[i] = start;
	obstacles->count++;
}
