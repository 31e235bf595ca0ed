// SPDX-License-Identifier: GPL-2.0
/*
 * Plan: the cheapest way to a hole of a given size.
 *
 * A plan is a place for the request and one for every piece that has to make
 * way: for the request, or for a piece that makes way. Sliding pieces finds one
 * quickly; evicting some of them, and then a search by branch and bound, look
 * for a cheaper one for as long as the budget lasts. Packing is for maps that
 * these find no way through.
 *
 * No kernel service but ALIGN(), min() and max() is used, so that this file
 * can be compiled for the host and tested against a model there.
 */
#include "planner.h"

/**
 * cm_planner_first_behind() - where to begin to look for what is in the way
 * @p:    the planner
 * @page: a page frame number
 *
 * Return: the first piece that ends behind it.
 */
unsigned int cm_planner_first_behind(const struct planner *p,
				     unsigned long page)
{
	unsigned int low = 0, high = p->n;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (hole_start(p, middle + 1) <= page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void enqueue(struct planner *p, unsigned int i)
{
	struct cm_slot *last = &p->slots[p->queue_count++];

	p->slots[i].seen = true;
	last->queue = i;
	last->cursor = cm_planner_first_behind(p, p->slots[i].to);
}

/**
 * cm_planner_spread() - what has to move so that a piece can
 * @p:    the planner
 * @from: the piece, which has been placed, or the request
 *
 * Queues it, what has to make way for it, what has to make way for that, and so
 * on.
 *
 * Return: true if the piece would have to make way for one of those.
 */
bool cm_planner_spread(struct planner *p, unsigned int from)
{
	bool knot = false;
	unsigned int i, q;

	p->loose = false;
	p->queue_count = 0;
	toil(p, p->n);
	enqueue(p, from);
	for (q = 0; q < p->queue_count; q++) {
		unsigned int by = p->slots[q].queue;

		for (i = p->slots[q].cursor; in_way(p, i, by); i++) {
			knot |= i == from && i != by;
			p->loose |= !p->slots[i].placed;
			if (p->slots[i].placed && !p->slots[i].seen)
				enqueue(p, i);
		}
	}
	for (q = 0; q < p->queue_count; q++)
		p->slots[p->slots[q].queue].seen = false;
	return knot;
}

/**
 * cm_planner_record() - keep what has been placed, if that is a better plan
 * @p: the planner
 *
 * Pieces that do not have to make way stay where they are.
 */
void cm_planner_record(struct planner *p)
{
	unsigned long cost = 0;
	unsigned int i, q;

	cm_planner_spread(p, p->n);
	for (q = 1; q < p->queue_count; q++)
		cost += p->pieces[p->slots[q].queue].count;
	if (p->loose || cost >= p->best)
		return;
	p->best = cost;
	for (i = 0; i < p->n; i++)
		p->slots[i].moves = false;
	p->slots[p->n].best = p->slots[p->n].to;
	for (q = 1; q < p->queue_count; q++) {
		struct cm_slot *slot = &p->slots[p->slots[q].queue];

		slot->moves = true;
		slot->best = slot->to;
	}
}

/**
 * cm_planner_clear() - forget all places
 * @p: the planner
 */
void cm_planner_clear(struct planner *p)
{
	unsigned int i;

	for (i = 0; i <= p->n; i++) {
		p->slots[i].placed = false;
		p->slots[i].stays = false;
		p->slots[i].seen = false;
		p->slots[i].due = NONE;
	}
	p->placed_count = 0;
	p->cost = 0;
	p->depth = 0;
}

/* The first piece, from @i on, that has to make way for @by and has not yet. */
static unsigned int still_in_way(struct planner *p, unsigned int by,
				 unsigned int i)
{
	while (in_way(p, i, by) && (!p->slots[i].moves || p->slots[i].seen))
		i++;
	return in_way(p, i, by) ? i : NONE;
}

/* Let a piece move as soon as all that have to make way for it have moved. */
static void move(struct planner *p, unsigned int piece)
{
	struct cm_plan *plan = p->plan;

	p->queue_count = 0;
	enqueue(p, piece);
	while (p->queue_count) {
		struct cm_slot *top = &p->slots[p->queue_count - 1];

		top->cursor = still_in_way(p, top->queue, top->cursor);
		if (top->cursor != NONE) {
			enqueue(p, top->cursor);
			continue;
		}
		plan->moves[plan->move_count++] = (struct cm_move){
			.piece = top->queue,
			.to = p->slots[top->queue].to,
		};
		p->queue_count--;
	}
}

static void report(struct planner *p)
{
	struct cm_plan *plan = p->plan;
	unsigned int i;

	plan->place = p->slots[p->n].best;
	plan->cost = p->best;
	cm_planner_clear(p);
	for (i = 0; i < p->n; i++)
		p->slots[i].to = p->slots[i].best;
	for (i = 0; i < p->n; i++)
		if (p->slots[i].moves && !p->slots[i].seen)
			move(p, i);
}

/**
 * cm_plan_slots() - scratch memory that a plan takes
 * @piece_count: number of pieces
 *
 * Return: number of elements of &struct cm_plan.slots.
 */
unsigned int cm_plan_slots(unsigned int piece_count)
{
	/* The most is what survey() takes: a span for each, and for both ends. */
	return piece_count + 2;
}

/**
 * cm_plan_moves() - most moves that a plan has
 * @piece_count: number of pieces
 *
 * Return: number of elements of &struct cm_plan.moves.
 */
unsigned int cm_plan_moves(unsigned int piece_count)
{
	/* Packings of 13560 random maps took up to 2 moves a piece. */
	return 4 * piece_count;
}

static struct planner new_planner(struct cm_plan *plan, unsigned long count,
				  unsigned long align, unsigned int budget)
{
	plan->move_count = 0;
	plan->ended = false;
	return (struct planner){
		.plan = plan,
		.pieces = plan->pieces,
		.slots = plan->slots,
		.n = plan->piece_count,
		.request = { .count = count, .align = align },
		.end = plan->start + plan->count,
		.best = NO_PLAN,
		.budget = budget,
	};
}

/**
 * cm_plan_make() - find the cheapest moves after which a request fits
 * @plan:   the map; the plan is filled in
 * @count:  page frames wanted, at least 1
 * @align:  page frames, a power of two
 * @budget: how long to look for a cheaper plan than the first: the number of
 *          places to look at, for the request or for a piece
 *
 * Where nothing is fixed and every alignment is one page frame, a plan is found
 * if there are @count free page frames, whatever the budget. Otherwise, a plan
 * that moves no piece twice is found if there is one, and the cheapest of them,
 * unless the budget is exhausted. (Of 20000 random maps of up to 16 page frames,
 * 10 had a plan only if a piece moved twice, none a cheaper one.)
 *
 * Takes O(n * n) steps for n pieces, besides those that the budget allows
 * (0.2 s on a PC for 5500 pieces), if &cm_plan.go_on lets it.
 *
 * Return: false if no plan was found.
 */
bool cm_plan_make(struct cm_plan *plan, unsigned long count,
		  unsigned long align, unsigned int budget)
{
	struct planner p = new_planner(plan, count, align, budget);

	cm_planner_clear(&p);
	cm_planner_slide(&p);
	if (p.best == NO_PLAN)
		cm_planner_compact(&p);
	p.steps = 0;
	cm_planner_evict(&p);
	cm_planner_search(&p);
	plan->exhausted = p.cut;
	if (p.best == NO_PLAN || plan->ended)
		return false;
	report(&p);
	return true;
}

/**
 * cm_plan_pack() - find moves after which a request fits, where cm_plan_make()
 *                  finds none
 * @plan:   the map; the plan is filled in
 * @count:  page frames wanted, at least 1
 * @align:  page frames, a power of two
 * @budget: how long to look
 *
 * Pieces may move more than once, and there may be a cheaper plan. Where every
 * alignment is one page frame, the pieces cannot be arranged for the request if
 * this finds no plan, unless the budget is exhausted or free page frames are so
 * few that pieces cannot change places. (Of 30000 random maps of up to 40 page
 * frames one had a plan that was not found, and none of those that had twice as
 * many free as their largest piece.)
 *
 * Return: false if no plan was found.
 */
bool cm_plan_pack(struct cm_plan *plan, unsigned long count,
		  unsigned long align, unsigned int budget)
{
	struct planner p = new_planner(plan, count, align, budget);
	bool found = cm_planner_pack(&p);

	plan->exhausted = p.cut;
	return found && !plan->ended;
}
