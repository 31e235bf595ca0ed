/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Search: finding a place for a chunk, and taking the pages there.
 */
#ifndef CM_SEARCH_H
#define CM_SEARCH_H

#include "context.h"
#include "obstacle.h"

/**
 * struct cm_search - an allocation under way
 * @ctx:       the context
 * @extent:    what is to be placed
 * @count:     page frames
 * @align:     page frames
 * @deadline:  ktime_get_ns() at which to give up
 * @quota:     bytes that the caller may have, or CM_QUOTA_NONE
 * @used:      bytes that he has, if there is a quota
 * @retries:   places that were busy
 * @full:      the context had less free when chunks would have had to move
 * @obstacles: what made them busy, or keeps a chunk from moving
 */
struct cm_search {
	struct cm_context *ctx;
	struct cm_extent *extent;
	unsigned long count;
	unsigned long align;
	u64 deadline;
	u64 quota;
	u64 used;
	u32 retries;
	bool full;
	struct cm_obstacles obstacles;
};

int cm_search_init(struct cm_search *search, struct cm_context *ctx,
		   const struct cm_alloc *req);
int cm_search_take(struct cm_search *search, struct cm_extent *extent);
int cm_search_empty(struct cm_context *ctx, struct cm_extent *extent,
		    u64 deadline, struct cm_obstacles *obstacles);
void cm_search_give(struct cm_context *ctx, struct cm_extent *extent);
int cm_search_errno(enum cm_reason reason);
enum cm_reason cm_search_reason(const struct cm_search *search, int error);

#endif /* CM_SEARCH_H */
