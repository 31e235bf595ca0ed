/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Planner: what the parts of the planner share while they make a plan.
 */
#ifndef CM_PLANNER_H
#define CM_PLANNER_H

#include <linux/kernel.h>

#include "plan.h"

#define NONE	((unsigned int)-1)
#define NO_PLAN	((unsigned long)-1)

/* A millisecond on a slow core, or less. */
#define TOIL_MAX	16384

/**
 * struct planner - what is known while a plan is made
 * @plan:         the caller's
 * @pieces:       the caller's
 * @slots:        the caller's
 * @n:            number of @pieces; the index of the request, where it is
 *                treated like a piece
 * @request:      the request
 * @end:          number of the page frame behind the map
 * @best:         page frames that the best plan moves, or NO_PLAN
 * @cost:         page frames of all pieces that are due or placed
 * @depth:        number of the decision that is being made
 * @placed_count: number of pieces in &struct cm_slot.by_place
 * @queue_count:  number of pieces in &struct cm_slot.queue
 * @loose:        something has to make way for what is in the queue, but has no
 *                new place
 * @span_count:   number of spans, with those of no length at both ends of the
 *                map
 * @every:        look at all places, not only at those next to something
 * @budget:       candidates to look at, in all
 * @limit:        candidates to look at until it is another place's turn
 * @steps:        candidates that have been looked at
 * @cut:          a limit was met
 * @toil:         pieces and spans that have been walked over since &cm_plan.go_on
 *                was asked
 */
struct planner {
	struct cm_plan *plan;
	const struct cm_piece *pieces;
	struct cm_slot *slots;
	unsigned int n;
	struct cm_piece request;
	unsigned long end;
	unsigned long best;

	unsigned long cost;
	unsigned int depth;
	unsigned int placed_count;
	unsigned int queue_count;
	bool loose;
	unsigned int span_count;

	bool every;
	unsigned long budget;
	unsigned long limit;
	unsigned long steps;
	bool cut;
	unsigned long toil;
};

/**
 * struct packing - a packing under way
 * @p:      the planner
 * @bins:   number of bins
 * @loose:  number of pieces that are not fixed
 * @target: the bin that the request goes to
 * @filled: number of bins that are full enough, of &struct cm_slot.by_room
 * @depth:  number of choices that have been made
 * @slack:  page frames that the bins to be filled may have left over
 */
struct packing {
	struct planner *p;
	unsigned int bins;
	unsigned int loose;
	unsigned int target;
	unsigned int filled;
	unsigned int depth;
	unsigned long slack;
};

static inline const struct cm_piece *piece_at(const struct planner *p,
					      unsigned int i)
{
	return i == p->n ? &p->request : &p->pieces[i];
}

/* Where the hole in front of a piece, or of the map's end, begins. */
static inline unsigned long hole_start(const struct planner *p, unsigned int i)
{
	return i ? p->pieces[i - 1].start + p->pieces[i - 1].count :
		   p->plan->start;
}

static inline unsigned long hole_end(const struct planner *p, unsigned int i)
{
	return i < p->n ? p->pieces[i].start : p->end;
}

/* Whether the old place of piece @i has something of the new place of @by. */
static inline bool in_way(const struct planner *p, unsigned int i,
			  unsigned int by)
{
	return i < p->n &&
	       p->pieces[i].start < p->slots[by].to + piece_at(p, by)->count;
}

/* The first place in [start, end), if there is one. */
static inline bool fit(const struct cm_piece *piece, unsigned long start,
		       unsigned long end, unsigned long *at)
{
	*at = ALIGN(start, piece->align);
	return *at >= start && *at <= end && end - *at >= piece->count;
}

/* The last place in [start, end), if there is one. */
static inline bool fit_last(const struct cm_piece *piece, unsigned long start,
			    unsigned long end, unsigned long *at)
{
	if (end < start || end - start < piece->count)
		return false;
	*at = (end - piece->count) & ~(piece->align - 1);
	return *at >= start;
}

/* Whether to go on after having walked over so many pieces or spans. */
static inline bool toil(struct planner *p, unsigned long count)
{
	struct cm_plan *plan = p->plan;

	p->toil += count;
	if (p->toil >= TOIL_MAX && plan->go_on && !plan->ended) {
		p->toil = 0;
		plan->ended = !plan->go_on(plan->asked);
	}
	return !plan->ended;
}

/* Whether it is another place's turn, or the budget is exhausted. */
static inline bool spent(struct planner *p)
{
	if (p->steps < p->limit && !p->plan->ended)
		return false;
	p->cut = true;
	return true;
}

unsigned int cm_planner_first_behind(const struct planner *p,
				     unsigned long page);
bool cm_planner_spread(struct planner *p, unsigned int from);
void cm_planner_record(struct planner *p);
void cm_planner_clear(struct planner *p);

void cm_planner_slide(struct planner *p);
void cm_planner_compact(struct planner *p);
void cm_planner_evict(struct planner *p);
void cm_planner_search(struct planner *p);
bool cm_planner_pack(struct planner *p);
bool cm_planner_settle(struct packing *k);

#endif /* CM_PLANNER_H */
