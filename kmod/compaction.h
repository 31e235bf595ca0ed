/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Compaction: moving chunks until a hole is large enough.
 */
#ifndef CM_COMPACTION_H
#define CM_COMPACTION_H

#include "plan.h"
#include "request.h"

struct cm_owner;

/**
 * struct cm_compaction - a compaction under way
 * @demand:  what the hole is for; @count is 0 for as large a hole as possible
 * @number:  of the context's compactions, 0 before the first step
 * @planned: @plan is there, and @next is the move that comes next
 * @plan:    made of what the map looked like at one instant
 * @pieces:  of @plan: chunks, and granules whose pages would not leave
 * @chunks:  by piece: the chunk, with a reference; NULL for granules
 * @next:    index into the moves of @plan
 * @place:   first page frame number of the hole, once there is one
 * @moves:   chunks that were moved
 * @moved:   page frames that were copied
 */
struct cm_compaction {
	struct cm_demand *demand;
	u64 number;
	bool planned;
	struct cm_plan plan;
	struct cm_piece *pieces;
	struct cm_chunk **chunks;
	unsigned int next;
	unsigned long place;
	unsigned long moves;
	unsigned long moved;
};

int cm_compaction_step(struct cm_compaction *compaction);
void cm_compaction_end(struct cm_compaction *compaction, int error);
int cm_compact(struct cm_context *ctx, struct cm_compact *req);

#endif /* CM_COMPACTION_H */
