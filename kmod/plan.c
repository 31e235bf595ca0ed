// SPDX-License-Identifier: GPL-2.0
/*
 * Plan: which chunks to move so that a request fits.
 *
 * Of the pieces in the way, some go to holes elsewhere, by best fit; the others
 * slide together. The ways that copy least are tried first. Whole segments are
 * last: what is between two fixed pieces, while the other ones are compacted.
 *
 * Of the kernel, ALIGN() and cond_resched() are used: this file is also tested on
 * the host.
 */
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/stddef.h>

#include "plan.h"

/* Pieces and holes to look at, besides a few for each piece. */
#define PLAN_STEPS		120000UL
#define PLAN_NONE		((unsigned long)-1)
/* Of the page frames in the way, so many parts or fewer are to leave. */
#define PLAN_PARTS		4

/* When a piece moves, if at all. */
enum plan_phase {
	PLAN_STAYS, PLAN_COMPACTED, PLAN_EVICTED, PLAN_SLIDES, PLAN_RISES
};

/* Pieces that are in the way together: [first, behind). */
struct plan_way {
	unsigned int first, behind;
	unsigned long cost;		/* page frames of all of them */
	bool compact;			/* make holes in other segments */
};

/* Return: whether there was time left for so many steps. */
static bool plan_step(struct cm_plan *p, unsigned long steps)
{
	if (p->steps >= p->limit)
		return false;
	p->steps += steps;
	cond_resched();
	return true;
}

/* Where the hole in front of a piece, or of the map's end, begins. */
static unsigned long plan_hole_start(const struct cm_plan *p, unsigned int i)
{
	return i ? p->pieces[i - 1].start + p->pieces[i - 1].count : p->start;
}

static unsigned long plan_hole_end(const struct cm_plan *p, unsigned int i)
{
	return i < p->piece_count ? p->pieces[i].start : p->start + p->count;
}

/* The map's end is like a fixed piece. */
static bool plan_is_fixed(const struct cm_plan *p, unsigned int i)
{
	return i == p->piece_count || p->pieces[i].fixed;
}

/* Find the first place in [start, end), if there is one. */
static bool plan_fit(unsigned long start, unsigned long end,
		     unsigned long count, unsigned long align, unsigned long *at)
{
	unsigned long place = ALIGN(start, align);

	if (place < start || place > end || end - place < count)
		return false;
	*at = place;
	return true;
}

/* Slide a piece down to what is below it. Return: where it then ends. */
static unsigned long plan_slide(struct cm_plan *p, unsigned int i,
				unsigned long start)
{
	const struct cm_piece *piece = &p->pieces[i];

	/* A piece that is not aligned now might have to go up: it stays. */
	p->scratch[i].to = piece->start;
	plan_fit(start, piece->start + piece->count, piece->count, piece->align,
		 &p->scratch[i].to);
	return p->scratch[i].to + piece->count;
}

/* Find the holes elsewhere: as they are, or one where a segment is compacted. */
static void plan_find_holes(struct cm_plan *p, const struct plan_way *way)
{
	unsigned int first, behind;
	unsigned long start;

	p->hole_count = 0;
	for (first = 0; first <= p->piece_count; first = behind + 1) {
		behind = way->behind;
		if (first == way->first)
			continue;
		start = plan_hole_start(p, first);
		for (behind = first; way->compact && !plan_is_fixed(p, behind);
		     behind++)
			start = plan_slide(p, behind, start);
		p->scratch[p->hole_count++].hole = (struct cm_plan_hole){
			start, plan_hole_end(p, behind), first, behind
		};
	}
}

/* Find the smallest hole that takes a piece, or NULL. */
static struct cm_plan_hole *plan_best_fit(struct cm_plan *p,
					  const struct cm_piece *piece)
{
	unsigned long smallest = PLAN_NONE, at;
	struct cm_plan_hole *hole, *best = NULL;
	unsigned int i;

	for (i = 0; i < p->hole_count && smallest != piece->count; i++) {
		hole = &p->scratch[i].hole;
		if (hole->end - hole->start < smallest &&
		    plan_fit(hole->start, hole->end, piece->count,
			     piece->align, &at)) {
			best = hole;
			smallest = hole->end - hole->start;
		}
	}
	return plan_step(p, i) ? best : NULL;
}

/* Find the largest piece in the way that was not picked before. */
static unsigned int plan_pick(struct cm_plan *p, const struct plan_way *way)
{
	unsigned int i, picked = way->behind;
	unsigned long largest = 0;

	for (i = way->first; i < way->behind; i++) {
		if (!p->scratch[i].picked && p->pieces[i].count > largest) {
			largest = p->pieces[i].count;
			picked = i;
		}
	}
	/* As many steps again to stack what is left. */
	return plan_step(p, 2 * (i - way->first)) ? picked : way->behind;
}

/* Let a piece go to a hole, the largest that can: others may slide for it. */
static bool plan_evict(struct cm_plan *p, const struct plan_way *way)
{
	struct cm_plan_hole *hole = NULL;
	unsigned int i;

	while (!hole) {
		i = plan_pick(p, way);
		if (i == way->behind)
			return false;
		p->scratch[i].picked = true;
		hole = plan_best_fit(p, &p->pieces[i]);
	}
	p->scratch[i].phase = PLAN_EVICTED;
	p->scratch[i].to = ALIGN(hole->start, p->pieces[i].align);
	hole->start = p->scratch[i].to + p->pieces[i].count;
	for (; hole->first < hole->behind; hole->first++)
		p->scratch[hole->first].phase = PLAN_COMPACTED;
	return true;
}

/* Slide what is left in the way down. Return: where it then ends. */
static unsigned long plan_stack(struct cm_plan *p, const struct plan_way *way)
{
	unsigned long start = plan_hole_start(p, way->first);
	unsigned int i;

	for (i = way->first; i < way->behind; i++)
		if (p->scratch[i].phase != PLAN_EVICTED)
			start = plan_slide(p, i, start);
	return start;
}

/*
 * Slide pieces up that were to slide down, the last one first, until the least
 * that is wanted fits between: it may only do so far down, when its alignment is
 * large.
 */
static bool plan_rise(struct cm_plan *p, const struct plan_way *way)
{
	unsigned long start, end = plan_hole_end(p, way->behind);
	struct cm_plan_scratch *scratch;
	const struct cm_piece *piece;
	unsigned int i = way->behind;

	plan_step(p, way->behind - way->first);
	for (;;) {
		while (i > way->first && p->scratch[i - 1].phase == PLAN_EVICTED)
			i--;
		start = plan_hole_start(p, way->first);
		if (i > way->first)
			start = p->scratch[i - 1].to + p->pieces[i - 1].count;
		if (plan_fit(start, end, p->least, p->align, &p->place)) {
			p->room = end - p->place;
			return true;
		}
		if (i-- == way->first)
			return false;
		piece = &p->pieces[i];
		scratch = &p->scratch[i];
		end = (end - piece->count) & ~(piece->align - 1);
		/* As in plan_slide(). */
		if (end < piece->start)
			end = piece->start;
		scratch->to = end;
		scratch->phase = PLAN_RISES;
	}
}

static void plan_record_move(struct cm_plan *p, unsigned int i,
			     enum plan_phase phase)
{
	if (p->scratch[i].phase != phase ||
	    p->scratch[i].to == p->pieces[i].start)
		return;
	p->moves[p->move_count++] = (struct cm_move){ p->scratch[i].to, i };
	p->cost += p->pieces[i].count;
}

static void plan_record(struct cm_plan *p)
{
	enum plan_phase phase;
	unsigned int i;

	plan_step(p, 5 * p->piece_count);
	p->cost = 0;
	p->move_count = 0;
	for (phase = PLAN_COMPACTED; phase <= PLAN_SLIDES; phase++)
		for (i = 0; i < p->piece_count; i++)
			plan_record_move(p, i, phase);
	while (i--)
		plan_record_move(p, i, PLAN_RISES);
}

/* Make room for the most that is wanted. Return: whether the least fits. */
static bool plan_try(struct cm_plan *p, const struct plan_way *way)
{
	unsigned long start, end = plan_hole_end(p, way->behind), at;
	unsigned int i;

	if (!plan_step(p, 3 * p->piece_count))
		return false;
	for (i = 0; i < p->piece_count; i++) {
		p->scratch[i].phase = i >= way->first && i < way->behind ?
					      PLAN_SLIDES : PLAN_STAYS;
		p->scratch[i].picked = false;
	}
	plan_find_holes(p, way);
	do {
		start = plan_stack(p, way);
	} while (!plan_fit(start, end, p->most, p->align, &at) &&
		 plan_evict(p, way));
	if (plan_fit(start, end, p->least, p->align, &p->place))
		p->room = end - p->place;
	else if (!plan_rise(p, way))
		return false;
	plan_record(p);
	return true;
}

/* Whether the request fits if so many parts leave and the rest leaves no gap. */
static bool plan_is_enough(const struct cm_plan *p, const struct plan_way *way,
			   unsigned int parts)
{
	unsigned long stay = way->cost * (PLAN_PARTS - parts) / PLAN_PARTS, at;

	return plan_fit(plan_hole_start(p, way->first),
			plan_hole_end(p, way->behind) - stay, p->least,
			p->align, &at);
}

/*
 * Find the next way after @from, in order of cost, below that of the plan that
 * there is: the shortest behind each piece. They go up, at both ends.
 */
static bool plan_find_way(struct cm_plan *p, struct plan_way *from,
			  unsigned int parts)
{
	struct plan_way way = { .cost = 0 }, best = { .cost = p->cost };
	const struct cm_piece *last;
	bool tried;

	if (!plan_step(p, 3 * p->piece_count))
		return false;
	for (; way.behind <= p->piece_count; way.behind++) {
		if (way.first < way.behind) {
			last = &p->pieces[way.behind - 1];
			way.first = last->fixed ? way.behind : way.first;
			way.cost = last->fixed ? 0 : way.cost + last->count;
		}
		for (; way.first <= way.behind &&
		     plan_is_enough(p, &way, parts); way.first++) {
			/* Of those that cost the same, the lowest is first. */
			tried = way.first < from->first;
			if (way.cost < best.cost && way.cost >= from->cost + tried)
				best = way;
			if (way.first < way.behind)
				way.cost -= p->pieces[way.first].count;
		}
	}
	*from = best;
	return best.cost < p->cost;
}

/* Each segment that may be long enough, until there is room for the most. */
static void plan_try_segments(struct cm_plan *p)
{
	struct plan_way way = { .compact = true };
	unsigned long end;

	for (; way.behind <= p->piece_count && p->least <= p->most;
	     way.behind++) {
		if (!plan_is_fixed(p, way.behind))
			continue;
		end = plan_hole_end(p, way.behind);
		if (end - plan_hole_start(p, way.first) >= p->least &&
		    plan_try(p, &way))
			p->least = p->room + 1;
		way.first = way.behind + 1;
	}
}

/**
 * cm_plan_make() - find moves after which a request fits
 * @plan:  the map; the plan is filled in
 * @count: page frames wanted, at least 1
 * @align: page frames, a power of two
 *
 * Where nothing is fixed and every alignment is one page frame, a plan is found
 * if there are @count free page frames. Otherwise one may be overlooked, or one
 * that copies less: the work is bounded by PLAN_STEPS, and a few steps a piece.
 *
 * Return: false if no plan was found.
 */
bool cm_plan_make(struct cm_plan *plan, unsigned long count, unsigned long align)
{
	struct plan_way way;
	unsigned int parts;

	plan->least = count;
	plan->most = count;
	plan->align = align;
	plan->move_count = 0;
	plan->cost = PLAN_NONE;
	plan->steps = 0;
	plan->limit = 8 * plan->piece_count;
	/* At first all slide, which never fails where nothing is fixed. */
	for (parts = 0; parts <= PLAN_PARTS; parts++) {
		plan->limit += PLAN_STEPS / 8;
		way = (struct plan_way){ .cost = 0 };
		while (plan_find_way(plan, &way, parts) && !plan_try(plan, &way))
			way.first++;
	}
	/* Enough for one segment at least. */
	plan->limit = plan->steps + PLAN_STEPS / 4 + 3 * plan->piece_count;
	if (plan->cost == PLAN_NONE)
		plan_try_segments(plan);
	return plan->cost != PLAN_NONE;
}

/**
 * cm_plan_largest() - find moves that make a hole as large as possible
 * @plan:  the map; the plan is filled in
 * @align: page frames, a power of two
 *
 * There are no moves in the plan if the largest hole that was found is there
 * already. The work is bounded by half of PLAN_STEPS, and a few steps a piece.
 *
 * Return: false if there is no place even for one page frame.
 */
bool cm_plan_largest(struct cm_plan *plan, unsigned long align)
{
	unsigned int i;

	plan->least = 1;
	plan->most = PLAN_NONE;
	plan->align = align;
	plan->move_count = 0;
	plan->cost = 0;
	plan->steps = 0;
	plan->limit = PLAN_STEPS / 2;
	for (i = 0; i <= plan->piece_count; i++)
		if (plan_fit(plan_hole_start(plan, i), plan_hole_end(plan, i),
			     plan->least, align, &plan->place))
			plan->least = plan_hole_end(plan, i) - plan->place + 1;
	plan_try_segments(plan);
	return plan->least > 1;
}
