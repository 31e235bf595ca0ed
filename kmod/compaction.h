/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Compaction: moving chunks until a hole is large enough.
 */
#ifndef CM_COMPACTION_H
#define CM_COMPACTION_H

#include "context.h"

/**
 * struct cm_compaction - a compaction under way
 * @ctx:       the context
 * @count:     in: page frames that a hole must have, 0 for as many as possible
 * @align:     in: page frames
 * @deadline:  in: ktime_get_ns() at which to give up
 * @obstacles: in and out: what cannot be made room of; an error there tells
 *             also of a chunk that is not pinned and had to stay, because
 *             somebody holds its pages
 * @number:    of the context's compactions
 * @place:     out: first page frame number of the hole, if @count was given
 * @full:      out: less than @count is free, whatever moves
 * @moves:     out: chunks that were moved
 * @moved:     out: page frames that were copied
 */
struct cm_compaction {
	struct cm_context *ctx;
	unsigned long count;
	unsigned long align;
	u64 deadline;
	struct cm_obstacles *obstacles;
	u64 number;
	unsigned long place;
	bool full;
	u64 moves;
	u64 moved;
};

int cm_compact(struct cm_compaction *compaction);
int cm_compact_on_request(struct cm_context *ctx, struct cm_compact *req);

#endif /* CM_COMPACTION_H */
