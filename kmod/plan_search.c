// SPDX-License-Identifier: GPL-2.0
/*
 * Plan, by search: branch and bound. A place is chosen for the request, then
 * for the largest piece that has to make way, and so on.
 */
#include <linux/minmax.h>
#include <linux/stddef.h>

#include "planner.h"

/* Candidates, by pieces, after which another place for the request is tried. */
#define FIRST_PATIENCE	32
#define MORE_PATIENCE	8

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

	toil(p, p->n);
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
	toil(p, 1);
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

	for (i = cm_planner_first_behind(p, at); in_way(p, i, by); i++) {
		if (p->slots[i].due != NONE)
			continue;
		p->slots[i].due = p->depth;
		p->cost += p->pieces[i].count;
	}
}

static void take_back(struct planner *p)
{
	unsigned int by = p->slots[p->depth].piece, i, k;

	for (i = cm_planner_first_behind(p, p->slots[by].to); in_way(p, i, by); i++) {
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
	if (!cm_planner_spread(p, p->slots[p->depth].piece)) {
		if (next_decision(p))
			return;
		cm_planner_record(p);
	}
	take_back(p);
}

/*
 * Look for plans that are better than the best, depth first, but not for ever
 * at one place of the request.
 */
static void search_once(struct planner *p, unsigned long patience)
{
	cm_planner_clear(p);
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
		if (!p->cut || p->steps >= p->budget || p->plan->ended)
			return;
		patience = patience < p->budget / MORE_PATIENCE ?
			   patience * MORE_PATIENCE : p->budget;
	}
}

/**
 * cm_planner_search() - look for the cheapest plan
 * @p: the planner
 *
 * Places next to others first, since pieces that touch leave the largest
 * holes. Then, if the budget lasts, all places.
 */
void cm_planner_search(struct planner *p)
{
	search_patiently(p);
	if (p->cut)
		return;
	p->every = true;
	search_patiently(p);
}
