/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Move: taking a chunk to another place, with its mappings.
 */
#ifndef CM_MOVE_H
#define CM_MOVE_H

#include <linux/types.h>

struct cm_chunk;
struct cm_obstacles;

int cm_move(struct cm_chunk *chunk, unsigned long to, u64 deadline,
	    struct cm_obstacles *obstacles);

#endif /* CM_MOVE_H */
