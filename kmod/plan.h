/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Plan: which chunks of a context to move, in which order and where to, so
 * that a request fits.
 */
#ifndef CM_PLAN_H
#define CM_PLAN_H

#include <linux/types.h>

/* A sensible budget: 10 ms on a PC, for up to 500 pieces. */
#define CM_PLAN_BUDGET	500000

/**
 * struct cm_piece - page frames that are taken
 * @start: first page frame number
 * @count: number of page frames, at least 1
 * @align: page frames, a power of two; wherever the piece goes, its first page
 *         frame number is a multiple of it
 * @fixed: it is pinned and must stay
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
 * struct cm_rank - a candidate for a place, best first
 * @cost:  page frames of the pieces that would have to make way
 * @spare: page frames that would be left of the hole around it
 * @at:    first page frame number
 */
struct cm_rank {
	unsigned long cost;
	unsigned long spare;
	unsigned long at;
};

/**
 * struct cm_span - page frames that are taken at some point of the search
 * @start: first page frame number
 * @end:   number of the page frame behind them
 * @cost:  page frames of all spans before this one that can still be moved
 * @hard:  number of spans before this one that cannot
 */
struct cm_span {
	unsigned long start;
	unsigned long end;
	unsigned long cost;
	unsigned int hard;
};

/**
 * struct cm_bin - what lies between two fixed pieces, when packing
 * @start: first page frame number
 * @end:   number of the page frame behind it
 * @room:  page frames that no piece has been given
 */
struct cm_bin {
	unsigned long start;
	unsigned long end;
	unsigned long room;
};

/**
 * struct cm_slot - scratch memory of the planner: one element of each of its
 *                  arrays, which have nothing else in common
 * @to:       by piece: where it goes, if @placed; when packing, where it is
 * @best:     by piece: where it goes in the best plan, if @moves
 * @due:      by piece: number of the decision that it has to make way for
 * @placed:   by piece: a new place has been chosen
 * @moves:    by piece: the best plan moves it
 * @seen:     by piece: it is in the queue
 * @stays:    by piece: there is no hole to evict it to
 * @chosen:   by decision: the candidate that was tried last
 * @piece:    by decision: what it finds a place for
 * @tried:    by decision: @chosen is valid
 * @by_place: the pieces that are placed, ordered by where they go; when
 *            packing, all pieces, ordered by where they are
 * @queue:    pieces, see spread()
 * @cursor:   positions that belong to @queue
 * @span:     what is taken, ordered by address
 * @in:       by piece: the bin where it is
 * @goal:     by piece: the bin that it is to go to, or NONE
 * @parked:   by piece: it was put into another bin for a while
 * @by_count: the pieces that are not fixed, largest first
 * @by_room:  the bins, smallest first
 * @choice:   by choice: number of the candidate
 * @bin:      the bins, ordered by address
 */
struct cm_slot {
	unsigned long to;
	unsigned long best;
	unsigned int due;
	bool placed;
	bool moves;
	bool seen;
	bool stays;

	bool tried;
	unsigned int piece;
	struct cm_rank chosen;

	unsigned int by_place;
	unsigned int queue;
	unsigned int cursor;
	struct cm_span span;

	unsigned int in;
	unsigned int goal;
	bool parked;
	unsigned int by_count;
	unsigned int by_room;
	unsigned int choice;
	struct cm_bin bin;
};

/**
 * struct cm_plan - a map, and how to make a request fit
 * @start:       in: first page frame number of the map
 * @count:       in: number of page frames of the map
 * @pieces:      in: what is taken, ordered by start, not overlapping
 * @piece_count: in: number of @pieces
 * @slots:       in: cm_plan_slots() of them, with any content
 * @moves:       in: room for cm_plan_moves() of them; out: the moves, first
 *               one first
 * @go_on:       in: asked now and then, false ends the planning; or NULL
 * @asked:       in: what @go_on is given
 * @move_count:  out: number of moves; cm_plan_make() moves no piece twice
 * @place:       out: first page frame number of the place that is free then
 * @cost:        out: page frames that the moves copy
 * @exhausted:   out: the budget did not suffice to see that there is no (or no
 *               cheaper) plan
 * @ended:       out: @go_on said no, and so there is no plan
 *
 * The moves are made one after the other. At the time of a move its
 * destination is free, but for page frames of the piece itself.
 */
struct cm_plan {
	unsigned long start;
	unsigned long count;
	const struct cm_piece *pieces;
	unsigned int piece_count;
	struct cm_slot *slots;
	struct cm_move *moves;
	bool (*go_on)(const void *asked);
	const void *asked;
	unsigned int move_count;
	unsigned long place;
	unsigned long cost;
	bool exhausted;
	bool ended;
};

unsigned int cm_plan_slots(unsigned int piece_count);
unsigned int cm_plan_moves(unsigned int piece_count);
bool cm_plan_make(struct cm_plan *plan, unsigned long count,
		  unsigned long align, unsigned int budget);
bool cm_plan_pack(struct cm_plan *plan, unsigned long count,
		  unsigned long align, unsigned int budget);

#endif /* CM_PLAN_H */
