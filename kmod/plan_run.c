// SPDX-License-Identifier: GPL-2.0
/*
 * Plan, by runs: pieces that are neighbours make way, by sliding or by going
 * elsewhere.
 */
#include <linux/minmax.h>
#include <linux/stddef.h>

#include "planner.h"

/* By how much cheapest_run() changes a run: by an eighth, by one piece. */
#define COARSE	3
#define FINE	31

/* The first piece at or after @i that is fixed, or the number of pieces. */
static unsigned int next_fixed(const struct planner *p, unsigned int i)
{
	while (i < p->n && !p->pieces[i].fixed)
		i++;
	return i;
}

/* Put a piece at the first place in [*start, end); *start is then behind it. */
static bool stack_up(struct planner *p, unsigned int i, unsigned long *start,
		     unsigned long end)
{
	struct cm_slot *slot = &p->slots[i];

	if (!fit(piece_at(p, i), *start, end, &slot->to))
		return false;
	*start = slot->to + piece_at(p, i)->count;
	slot->placed = true;
	return true;
}

/* Put the pieces [first, behind) at the end of what lies around them. */
static unsigned int slide_up(struct planner *p, unsigned int first,
			     unsigned int behind)
{
	unsigned long start = hole_start(p, first), end = hole_end(p, behind);

	while (behind > first &&
	       fit_last(&p->pieces[behind - 1], start, end,
			&p->slots[behind - 1].to)) {
		end = p->slots[--behind].to;
		p->slots[behind].placed = true;
	}
	return behind;
}

/*
 * Slide the pieces [first, behind) apart: some down, the others up, as far as
 * what lies around them allows, until the request fits between them.
 */
static bool slide_apart(struct planner *p, unsigned int first,
			unsigned int behind)
{
	unsigned long start = hole_start(p, first), end = hole_end(p, behind);
	unsigned int up = slide_up(p, first, behind);
	unsigned int i;

	toil(p, behind - first);

	for (i = first; i < up; i++)
		if (!stack_up(p, i, &start, end))
			return false;
	for (; i < behind; i++) {
		if (stack_up(p, p->n, &start, p->slots[i].to))
			return true;
		if (!stack_up(p, i, &start, end))
			return false;
	}
	return stack_up(p, p->n, &start, end);
}

/*
 * Record a plan that moves the pieces [first, behind) or some of them, which
 * have @cost page frames.
 */
typedef bool try_run(struct planner *p, unsigned int first,
		     unsigned int behind, unsigned long cost);

/*
 * By sliding. Where no alignment is more than one page frame, this finds the
 * cheapest plan that leaves the order of the pieces as it is.
 */
static bool slide_run(struct planner *p, unsigned int first,
		      unsigned int behind, unsigned long cost)
{
	unsigned long room = hole_end(p, behind) - hole_start(p, first) - cost;
	bool found;

	if (room < p->request.count)
		return false;
	found = slide_apart(p, first, behind);
	if (found)
		cm_planner_record(p);
	for (; first < behind; first++)
		p->slots[first].placed = false;
	return found;
}

/*
 * Move whichever run of [first, end) is cheapest; none of them is fixed. A run
 * that does not make room enough is extended upwards; one that does, or that is
 * too dear, loses its first pieces. @shift: how much of it is added or lost.
 */
static void cheapest_run(struct planner *p, unsigned int first,
			 unsigned int end, try_run *try, unsigned int shift)
{
	unsigned int behind = first, step;
	unsigned long cost = 0;

	while (toil(p, behind - first + 1)) {
		step = ((behind - first) >> shift) + 1;
		if (cost < p->best && !try(p, first, behind, cost)) {
			if (behind == end)
				return;
			for (; step && behind < end; step--)
				cost += p->pieces[behind++].count;
		} else {
			if (first == behind)
				return;
			for (; step && first < behind; step--)
				cost -= p->pieces[first++].count;
		}
	}
}

static void cheapest_runs(struct planner *p, try_run *try, unsigned int shift)
{
	unsigned int first, end;

	for (first = 0; first <= p->n; first = end + 1) {
		end = next_fixed(p, first);
		cheapest_run(p, first, end, try, shift);
	}
}

/*
 * Compact what is between fixed pieces, but for the pieces from @except on. The
 * spans are what is left of the holes.
 */
static void compact_others(struct planner *p, unsigned int except)
{
	unsigned int first, end;

	p->span_count = 0;
	for (first = 0; first <= p->n; first = end + 1) {
		struct cm_span *span = &p->slots[p->span_count].span;

		end = next_fixed(p, first);
		if (first == except)
			continue;
		span->start = hole_start(p, first);
		span->end = hole_end(p, end);
		p->span_count++;
		for (; first < end; first++)
			stack_up(p, first, &span->start, span->end);
	}
}

/* Put a piece into the smallest hole that is left and takes it. */
static bool evict(struct planner *p, unsigned int i)
{
	struct cm_span *best = NULL;
	unsigned long at;
	unsigned int k;

	p->steps += p->span_count;
	for (k = 0; k < p->span_count; k++) {
		struct cm_span *span = &p->slots[k].span;

		if (fit(&p->pieces[i], span->start, span->end, &at) &&
		    (!best || span->end - span->start < best->end - best->start))
			best = span;
	}
	return best && stack_up(p, i, &best->start, best->end);
}

/* What to evict: the smallest that is enough, or else the largest. */
static unsigned int pick(struct planner *p, unsigned int first,
			 unsigned int end, unsigned long enough)
{
	unsigned int i, best = NONE;

	p->steps += end - first;
	toil(p, end - first);
	for (i = first; i < end; i++) {
		unsigned long count = p->pieces[i].count;

		if (p->slots[i].stays || p->slots[i].due != NONE)
			continue;
		if (best == NONE)
			best = i;
		else if (p->pieces[best].count < enough)
			best = count > p->pieces[best].count ? i : best;
		else if (count >= enough && count < p->pieces[best].count)
			best = i;
	}
	return best;
}

/* Stack up the pieces of [first, end) that were not evicted. */
static bool restack(struct planner *p, unsigned int first, unsigned int end,
		    unsigned long *start)
{
	*start = hole_start(p, first);
	for (; first < end; first++)
		if (p->slots[first].due == NONE &&
		    !stack_up(p, first, start, hole_end(p, end)))
			return false;
	return true;
}

/* Page frames of the pieces of [first, end) that some span might take. */
static unsigned long evictable(struct planner *p, unsigned int first,
			       unsigned int end)
{
	unsigned long longest = 0, count = 0;
	unsigned int k;

	for (k = 0; k < p->span_count; k++) {
		const struct cm_span *span = &p->slots[k].span;

		longest = max(longest, span->end - span->start);
	}
	for (; first < end; first++) {
		p->slots[first].stays = p->pieces[first].count > longest;
		if (!p->slots[first].stays)
			count += p->pieces[first].count;
	}
	return count;
}

/* Evict pieces of [first, end) to the spans until they are @enough. */
static bool evict_enough(struct planner *p, unsigned int first,
			 unsigned int end, unsigned long enough)
{
	unsigned long count = 0;

	while (count < enough && !p->plan->ended) {
		unsigned int i = pick(p, first, end, enough - count);

		if (i == NONE)
			return false;
		p->slots[i].stays = !evict(p, i);
		if (p->slots[i].stays)
			continue;
		p->slots[i].due = 0;
		count += p->pieces[i].count;
	}
	return !p->plan->ended;
}

/* Evict pieces of [first, end) until the request fits behind the others. */
static bool make_room(struct planner *p, unsigned int first, unsigned int end)
{
	unsigned long start, stop = hole_end(p, end);
	unsigned long *place = &p->slots[p->n].to;

	while (restack(p, first, end, &start)) {
		if (fit(&p->request, start, stop, place)) {
			cm_planner_record(p);
			return true;
		}
		if (*place < start || *place > stop)
			*place = stop;
		if (!evict_enough(p, first, end,
				  p->request.count - (stop - *place)))
			return false;
	}
	return false;
}

/* Make spans of all holes but those around the pieces [first, behind). */
static void survey_holes(struct planner *p, unsigned int first,
			 unsigned int behind)
{
	unsigned int i;

	p->span_count = 0;
	for (i = 0; i <= p->n; i++) {
		struct cm_span *span = &p->slots[p->span_count].span;

		if ((i >= first && i <= behind) ||
		    hole_start(p, i) == hole_end(p, i))
			continue;
		span->start = hole_start(p, i);
		span->end = hole_end(p, i);
		p->span_count++;
	}
}

/* By evicting some, and sliding the others. */
static bool evict_run(struct planner *p, unsigned int first,
		      unsigned int behind, unsigned long cost)
{
	unsigned long room = hole_end(p, behind) - hole_start(p, first);

	if (room < p->request.count || spent(p))
		return false;
	cm_planner_clear(p);
	survey_holes(p, first, behind);
	p->steps += p->n + 1;
	return room - cost + evictable(p, first, behind) >= p->request.count &&
	       make_room(p, first, behind);
}

/**
 * cm_planner_slide() - record the cheapest plan that keeps the order of pieces
 * @p: the planner
 */
void cm_planner_slide(struct planner *p)
{
	cheapest_runs(p, slide_run, FINE);
}

/**
 * cm_planner_compact() - record a plan that compacts everything else
 * @p: the planner
 *
 * Makes room wherever the request is not too long. This is dear, but finds a
 * plan where most others do not.
 */
void cm_planner_compact(struct planner *p)
{
	unsigned int first, end;
	unsigned long at;

	for (first = 0; first <= p->n && toil(p, p->n); first = end + 1) {
		end = next_fixed(p, first);
		if (!fit(&p->request, hole_start(p, first), hole_end(p, end),
			 &at))
			continue;
		cm_planner_clear(p);
		compact_others(p, first);
		evictable(p, first, end);
		make_room(p, first, end);
	}
}

/**
 * cm_planner_evict() - record cheaper plans that evict what fits elsewhere
 * @p: the planner
 *
 * Takes at most about half of the budget.
 */
void cm_planner_evict(struct planner *p)
{
	p->limit = p->budget / 2;
	cheapest_runs(p, evict_run, COARSE);
	cheapest_runs(p, evict_run, FINE);
}
