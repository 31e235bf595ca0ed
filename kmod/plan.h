/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Plan: which chunks of a context to move, in which order and where to, so
 * that a request fits.
 */
#ifndef CM_PLAN_H
#define CM_PLAN_H

#include <linux/types.h>

/**
 * struct cm_piece - page frames that are taken
 * @start: first page frame number
 * @count: number of page frames, at least 1
 * @align: page frames, a power of two; wherever the piece goes, its first page
 *         frame number is a multiple of it
 * @fixed: it cannot be moved: a pinned chunk, or memory that is not ours
 */
struct cm_piece {
	unsigned long start;
	unsigned long count;
	unsigned long align;
	bool fixed;
};

/**
 * struct cm_move - one step of a plan
 * @to:    first page frame number of the new place; it may overlap the old one
 * @piece: index into &struct cm_plan.pieces
 */
struct cm_move {
	unsigned long to;
	unsigned int piece;
};

/* Working memory of the planner, to be left alone. */
struct cm_plan_scratch {
	struct cm_plan_hole {
		unsigned long start, end;
		unsigned int first, behind;	/* what slides down for it */
	} hole;				/* by hole, in no order */
	unsigned long to;		/* by piece: where it goes */
	unsigned char phase;		/* by piece: when it goes, if at all */
	bool picked;			/* by piece: it was to leave, or did */
};

/**
 * struct cm_plan - a map, and how to make a request fit
 * @start:       in: first page frame number of the map
 * @count:       in: number of page frames of the map
 * @pieces:      in: what is taken, ordered by start, not overlapping
 * @piece_count: in: number of @pieces
 * @scratch:     in: @piece_count elements, with any content
 * @moves:       in: room for @piece_count moves; out: the moves, first one first
 * @move_count:  out: number of moves; no piece moves twice
 * @place:       out: first page frame number of the place that is free then
 * @cost:        out: page frames that the moves copy
 * @steps:       out: pieces and holes that were looked at
 *
 * The moves are made one after the other. At the time of a move its
 * destination is free, but for page frames of the piece itself.
 */
struct cm_plan {
	unsigned long start;
	unsigned long count;
	const struct cm_piece *pieces;
	unsigned int piece_count;
	struct cm_plan_scratch *scratch;
	struct cm_move *moves;
	unsigned int move_count;
	unsigned long place;
	unsigned long cost;
	unsigned long steps;
	/* private: the planner's own */
	unsigned long limit;		/* of the steps */
	unsigned long least, most;	/* page frames wanted */
	unsigned long room;		/* page frames that there are then */
	unsigned long align;		/* of the place */
	unsigned int hole_count;
};

bool cm_plan_make(struct cm_plan *plan, unsigned long count,
		  unsigned long align);
bool cm_plan_largest(struct cm_plan *plan, unsigned long align);

#endif /* CM_PLAN_H */
