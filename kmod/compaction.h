/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Compaction: moving chunks until a hole is large enough.
 */
#ifndef CM_COMPACTION_H
#define CM_COMPACTION_H

#include "context.h"

/**
 * struct cm_compaction - a compaction under way
 * @ctx:      the context
 * @count:    in: page frames that a hole must have, 0 for as many as possible
 * @align:    in: page frames
 * @deadline: in: ktime_get_ns() at which to give up
 * @number:   of the context's compactions
 * @moves:    out: chunks that were moved
 * @moved:    out: page frames that were copied
 * @stuck:    out: chunks that had to stay although they are not pinned,
 *            because somebody holds their pages
 */
struct cm_compaction {
	struct cm_context *ctx;
	unsigned long count;
	unsigned long align;
	u64 deadline;
	u64 number;
	u64 moves;
	u64 moved;
	u32 stuck;
};

int cm_compact(struct cm_compaction *compaction);
int cm_compact_on_request(struct cm_context *ctx, struct cm_compact *req);

#endif /* CM_COMPACTION_H */
