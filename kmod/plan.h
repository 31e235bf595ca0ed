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

/**
 * struct cm_plan_hole - page frames where a piece can go
 * @start:  first page frame number
 * @end:    number of the page frame behind them
 * @first:  first piece that has to slide down before they are free
 * @behind: the piece behind the last one that has to
 */
struct cm_plan_hole {
	unsigned long start;
	unsigned long end;
	unsigned int first;
	unsigned int behind;
};

/**
 * struct cm_plan_scratch - working memory of the planner: one element of each
 *                          of its arrays
 * @hole:    by hole, in no order
 * @to:      by piece: where it goes, unless it stays
 * @phase:   by piece: when it moves, if at all
 * @no_hole: by piece: there is no hole that takes it
 */
struct cm_plan_scratch {
	struct cm_plan_hole hole;
	unsigned long to;
	unsigned char phase;
	bool no_hole;
};

/**
 * struct cm_plan - a map, and how to make a request fit
 * @start:       in: first page frame number of the map
 * @count:       in: number of page frames of the map
 * @pieces:      in: what is taken, ordered by start, not overlapping
 * @piece_count: in: number of @pieces
 * @scratch:     in: cm_plan_scratch_count() elements, with any content
 * @moves:       in: room for @piece_count moves; out: the moves, first one first
 * @move_count:  out: number of moves; no piece moves twice
 * @place:       out: first page frame number of the place that is free then
 * @cost:        out: page frames that the moves copy
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
};

unsigned int cm_plan_scratch_count(unsigned int piece_count);
bool cm_plan_make(struct cm_plan *plan, unsigned long count,
		  unsigned long align);
bool cm_plan_largest(struct cm_plan *plan, unsigned long align);

#endif /* CM_PLAN_H */
