/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Move: taking a chunk to another place, with its mappings.
 */
#ifndef CM_MOVE_H
#define CM_MOVE_H

#include <linux/types.h>

struct cm_chunk;
struct cm_deadline;

int cm_move(struct cm_chunk *chunk, unsigned long to,
	    const struct cm_deadline *deadline);

#endif /* CM_MOVE_H */
