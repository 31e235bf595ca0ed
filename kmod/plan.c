// SPDX-License-Identifier: GPL-2.0
/*
 * Plan: the cheapest way to a hole of a given size.
 *
 * A plan is a place for the request and one for every piece that has to make
 * way: for the request, or for a piece that makes way. Two heuristics find one
 * quickly; a search by branch and bound looks for a cheaper one for as long as
 * its budget lasts.
 *
 * No kernel service but ALIGN(), min() and max() is used, so that this file
 * can be compiled for the host and tested against a model there.
 */
#include <linux/align.h>
#include <linux/minmax.h>
#include <linux/stddef.h>

#include "plan.h"

#define NONE	((unsigned int)-1)
#define NO_PLAN	((unsigned long)-1)

/* Candidates, by pieces, after which another place for the request is tried. */
#define FIRST_PATIENCE	32
#define MORE_PATIENCE	8

#define COARSE	3
#define FINE	31

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
 * @span_count:   number of spans, with those of no length at both ends of the
 *                map
 * @every:        look at all places, not only at those next to something
 * @budget:       candidates to look at, in all
 * @limit:        candidates to look at until it is another place's turn
 * @steps:        candidates that have been looked at
 * @cut:          a limit was met
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
	unsigned int span_count;

	bool every;
	unsigned long budget;
	unsigned long limit;
	unsigned long steps;
	bool cut;
};

static const struct cm_piece *piece_at(const struct planner *p, unsigned int i)
{
	return i == p->n ? &p->request : &p->pieces[i];
}

/* Where the hole in front of a piece, or of the map's end, begins. */
static unsigned long hole_start(const struct planner *p, unsigned int i)
{
	return i ? p->pieces[i - 1].start + p->pieces[i - 1].count :
		   p->plan->start;
}

static unsigned long hole_end(const struct planner *p, unsigned int i)
{
	return i < p->n ? p->pieces[i].start : p->end;
}

/* The first piece at or after @i that is fixed, or the number of pieces. */
static unsigned int next_fixed(const struct planner *p, unsigned int i)
{
	while (i < p->n && !p->pieces[i].fixed)
		i++;
	return i;
}

/* The first piece that ends behind a page frame. */
static unsigned int first_behind(const struct planner *p, unsigned long page)
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

/* Whether the old place of piece @i has something of the new place of @by. */
static bool in_way(const struct planner *p, unsigned int i, unsigned int by)
{
	return i < p->n &&
	       p->pieces[i].start < p->slots[by].to + piece_at(p, by)->count;
}

/* The first place in [start, end), if there is one. */
static bool fit(const struct cm_piece *piece, unsigned long start,
		unsigned long end, unsigned long *at)
{
	*at = ALIGN(start, piece->align);
	return *at >= start && *at <= end && end - *at >= piece->count;
}

/* The last place in [start, end), if there is one. */
static bool fit_last(const struct cm_piece *piece, unsigned long start,
		     unsigned long end, unsigned long *at)
{
	if (end < start || end - start < piece->count)
		return false;
	*at = (end - piece->count) & ~(piece->align - 1);
	return *at >= start;
}

static void enqueue(struct planner *p, unsigned int i)
{
	p->slots[i].seen = true;
	p->slots[p->queue_count].cursor = first_behind(p, p->slots[i].to);
	p->slots[p->queue_count++].queue = i;
}

/*
 * Queue a piece, what has to make way for it, what has to make way for that,
 * and so on. True if the piece would have to make way for one of those.
 */
static bool spread(struct planner *p, unsigned int from)
{
	bool knot = false;
	unsigned int i, q;

	p->queue_count = 0;
	enqueue(p, from);
	for (q = 0; q < p->queue_count; q++) {
		unsigned int by = p->slots[q].queue;

		for (i = p->slots[q].cursor; in_way(p, i, by); i++) {
			knot |= i == from && i != by;
			if (p->slots[i].placed && !p->slots[i].seen)
				enqueue(p, i);
		}
	}
	for (q = 0; q < p->queue_count; q++)
		p->slots[p->slots[q].queue].seen = false;
	return knot;
}

/* Every piece that is in the way has been placed: keep this if it is best. */
static void record(struct planner *p)
{
	unsigned long cost = 0;
	unsigned int i, q;

	spread(p, p->n);
	for (q = 1; q < p->queue_count; q++)
		cost += p->pieces[p->slots[q].queue].count;
	if (cost >= p->best)
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

static bool spent(struct planner *p)
{
	if (p->steps < p->limit)
		return false;
	p->cut = true;
	return true;
}

/* Forget all places. */
static void clear(struct planner *p)
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
		record(p);
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

	for (;;) {
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
static void compact(struct planner *p, unsigned int except)
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
static unsigned int pick(const struct planner *p, unsigned int first,
			 unsigned int end, unsigned long enough)
{
	unsigned int i, best = NONE;

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

/* Page frames of the pieces of [first, end) that one of the spans might take. */
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

	while (count < enough) {
		unsigned int i = pick(p, first, end, enough - count);

		if (i == NONE)
			return false;
		p->slots[i].stays = !evict(p, i);
		if (p->slots[i].stays)
			continue;
		p->slots[i].due = 0;
		count += p->pieces[i].count;
	}
	return true;
}

/* Evict so many pieces of [first, end) that the request fits behind the rest. */
static bool make_room(struct planner *p, unsigned int first, unsigned int end)
{
	unsigned long start, stop = hole_end(p, end);
	unsigned long *place = &p->slots[p->n].to;

	while (restack(p, first, end, &start)) {
		if (fit(&p->request, start, stop, place)) {
			record(p);
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
	clear(p);
	survey_holes(p, first, behind);
	p->steps += p->n + 1;
	return room - cost + evictable(p, first, behind) >= p->request.count &&
	       make_room(p, first, behind);
}

/* For want of a better plan: make room wherever the request is not too long. */
static void evict_and_compact(struct planner *p)
{
	unsigned int first, end;
	unsigned long at;

	for (first = 0; first <= p->n; first = end + 1) {
		end = next_fixed(p, first);
		if (!fit(&p->request, hole_start(p, first), hole_end(p, end),
			 &at))
			continue;
		clear(p);
		compact(p, first);
		evictable(p, first, end);
		make_room(p, first, end);
	}
}

static void add_span(struct planner *p, unsigned long start,
		     unsigned long count, bool soft)
{
	unsigned int i = p->span_count++;
	struct cm_span *span = &p->slots[i].span;

	span->start = start;
	span->end = start + count;
	span->cost = soft ? count : 0;
	span->hard = soft ? 0 : 1;
	if (i) {
		span->cost += p->slots[i - 1].span.cost;
		span->hard += p->slots[i - 1].span.hard;
	}
}

/* Make spans of the pieces that are not due, and of the new places. */
static void survey(struct planner *p)
{
	unsigned int i, k = 0;

	p->span_count = 0;
	add_span(p, p->plan->start, 0, false);
	for (i = 0; i <= p->n; i++) {
		for (; k < p->placed_count; k++) {
			unsigned int by = p->slots[k].by_place;

			if (p->slots[by].to >= hole_end(p, i))
				break;
			add_span(p, p->slots[by].to, piece_at(p, by)->count,
				 false);
		}
		if (i < p->n && p->slots[i].due == NONE)
			add_span(p, p->pieces[i].start, p->pieces[i].count,
				 !p->pieces[i].fixed);
	}
	add_span(p, p->end, 0, false);
}

/**
 * struct scan - a search for the best candidate that has not been tried
 * @piece: what a place is looked for
 * @after: the candidate that was tried last, if there was one
 * @bound: what it costs to make way must be less
 * @found: @best is valid
 * @best:  the best candidate
 * @low:   first span that does not end in front of the candidate
 * @high:  first span, not before @low, that starts behind it
 *
 * Candidates are looked at in the order of their addresses, so that @low and
 * @high only go up.
 */
struct scan {
	const struct cm_piece *piece;
	const struct cm_rank *after;
	unsigned long bound;
	bool found;
	struct cm_rank best;
	unsigned int low;
	unsigned int high;
};

static bool precedes(const struct cm_rank *a, const struct cm_rank *b)
{
	if (a->cost != b->cost)
		return a->cost < b->cost;
	if (a->spare != b->spare)
		return a->spare < b->spare;
	return a->at < b->at;
}

/* What a candidate costs, if it does not touch what cannot be moved. */
static bool rate(struct planner *p, struct scan *scan, struct cm_rank *rank)
{
	unsigned long end = rank->at + scan->piece->count;
	const struct cm_span *low, *high;

	while (p->slots[scan->low].span.end <= rank->at)
		scan->low++;
	scan->high = max(scan->high, scan->low);
	while (p->slots[scan->high].span.start < end)
		scan->high++;

	low = &p->slots[scan->low - 1].span;
	high = &p->slots[scan->high - 1].span;
	rank->cost = high->cost - low->cost;
	rank->spare = p->slots[scan->high].span.start - low->end -
		      scan->piece->count;
	return high->hard == low->hard;
}

static void consider(struct planner *p, struct scan *scan, unsigned long at)
{
	struct cm_rank rank = { .at = at };

	p->steps++;
	if (!rate(p, scan, &rank) || rank.cost >= scan->bound)
		return;
	if (scan->after && !precedes(scan->after, &rank))
		return;
	if (scan->found && !precedes(&rank, &scan->best))
		return;
	scan->best = rank;
	scan->found = true;
}

static void rewind(struct scan *scan)
{
	scan->low = 1;
	scan->high = 1;
}

static void consider_every(struct planner *p, struct scan *scan)
{
	unsigned long at, last;

	rewind(scan);
	if (!fit(scan->piece, p->plan->start, p->end, &at) ||
	    !fit_last(scan->piece, p->plan->start, p->end, &last))
		return;
	for (; at < last && !spent(p); at += scan->piece->align)
		consider(p, scan, at);
	consider(p, scan, last);
}

/* Behind each span, and in front of each. */
static void consider_next_to_spans(struct planner *p, struct scan *scan)
{
	unsigned long at;
	unsigned int i;

	rewind(scan);
	for (i = 0; i + 1 < p->span_count; i++)
		if (fit(scan->piece, p->slots[i].span.end, p->end, &at))
			consider(p, scan, at);
	rewind(scan);
	for (i = 1; i < p->span_count; i++)
		if (fit_last(scan->piece, p->plan->start,
			     p->slots[i].span.start, &at))
			consider(p, scan, at);
}

/* Make the decision, or make it another way than last time. */
static bool choose(struct planner *p)
{
	struct cm_slot *decision = &p->slots[p->depth];
	struct scan scan = {
		.piece = piece_at(p, decision->piece),
		.after = decision->tried ? &decision->chosen : NULL,
		.bound = p->best - p->cost,
	};

	if (p->cost >= p->best || spent(p))
		return false;
	survey(p);
	if (p->every)
		consider_every(p, &scan);
	else
		consider_next_to_spans(p, &scan);
	if (!scan.found || spent(p))
		return false;
	decision->chosen = scan.best;
	decision->tried = true;
	return true;
}

/* Whoever is in the way is due. */
static void place(struct planner *p)
{
	unsigned int by = p->slots[p->depth].piece, i, k;
	unsigned long at = p->slots[p->depth].chosen.at;

	p->slots[by].to = at;
	p->slots[by].placed = true;
	for (k = p->placed_count++; k; k--) {
		if (p->slots[p->slots[k - 1].by_place].to < at)
			break;
		p->slots[k].by_place = p->slots[k - 1].by_place;
	}
	p->slots[k].by_place = by;

	for (i = first_behind(p, at); in_way(p, i, by); i++) {
		if (p->slots[i].due != NONE)
			continue;
		p->slots[i].due = p->depth;
		p->cost += p->pieces[i].count;
	}
}

static void take_back(struct planner *p)
{
	unsigned int by = p->slots[p->depth].piece, i, k;

	for (i = first_behind(p, p->slots[by].to); in_way(p, i, by); i++) {
		if (p->slots[i].due != p->depth)
			continue;
		p->slots[i].due = NONE;
		p->cost -= p->pieces[i].count;
	}

	for (k = 0; p->slots[k].by_place != by; k++)
		;
	for (p->placed_count--; k < p->placed_count; k++)
		p->slots[k].by_place = p->slots[k + 1].by_place;
	p->slots[by].placed = false;
}

/* The largest piece that is due is the next to find a place for. */
static bool next_decision(struct planner *p)
{
	unsigned int i, next = NONE;

	for (i = 0; i < p->n; i++) {
		if (p->slots[i].due == NONE || p->slots[i].placed)
			continue;
		if (next == NONE || p->pieces[i].count > p->pieces[next].count)
			next = i;
	}
	if (next == NONE)
		return false;
	p->depth++;
	p->slots[p->depth].piece = next;
	p->slots[p->depth].tried = false;
	return true;
}

/* Go on with what is due; without anything, a plan has been found. */
static void descend(struct planner *p)
{
	place(p);
	if (!spread(p, p->slots[p->depth].piece)) {
		if (next_decision(p))
			return;
		record(p);
	}
	take_back(p);
}

/*
 * Look for plans that are better than the best, depth first, but not for ever
 * at one place of the request.
 */
static void search_once(struct planner *p, unsigned long patience)
{
	clear(p);
	p->cut = false;
	p->slots[0].piece = p->n;
	p->slots[0].tried = false;
	for (;;) {
		if (!p->depth)
			p->limit = p->budget;
		if (choose(p)) {
			if (!p->depth)
				p->limit = p->steps +
					   min(patience, p->budget - p->steps);
			descend(p);
		} else if (p->depth) {
			p->depth--;
			take_back(p);
		} else {
			return;
		}
	}
}

static void search_patiently(struct planner *p)
{
	unsigned long patience = FIRST_PATIENCE * (p->n + 1UL);

	for (;;) {
		search_once(p, patience);
		if (!p->cut || p->steps >= p->budget)
			return;
		patience = patience < p->budget / MORE_PATIENCE ?
			   patience * MORE_PATIENCE : p->budget;
	}
}

/*
 * Places next to others first, since pieces that touch leave the largest
 * holes. Then, if the budget lasts, all places.
 */
static void search(struct planner *p)
{
	search_patiently(p);
	if (p->cut)
		return;
	p->every = true;
	search_patiently(p);
}

/* The first piece of the best plan that has to make way for @by, and has not. */
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
	clear(p);
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
	return piece_count + 3;
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
 * unless the budget is exhausted.
 *
 * Return: false if no plan was found.
 */
bool cm_plan_make(struct cm_plan *plan, unsigned long count,
		  unsigned long align, unsigned int budget)
{
	struct planner p = {
		.plan = plan,
		.pieces = plan->pieces,
		.slots = plan->slots,
		.n = plan->piece_count,
		.request = { .count = count, .align = align },
		.end = plan->start + plan->count,
		.best = NO_PLAN,
		.budget = budget,
	};

	plan->move_count = 0;
	clear(&p);
	cheapest_runs(&p, slide_run, FINE);
	if (p.best == NO_PLAN)
		evict_and_compact(&p);
	p.steps = 0;
	p.limit = budget / 2;
	cheapest_runs(&p, evict_run, COARSE);
	cheapest_runs(&p, evict_run, FINE);
	search(&p);
	plan->exhausted = p.cut;
	if (p.best == NO_PLAN)
		return false;
	report(&p);
	return true;
}
