// SPDX-License-Identifier: GPL-2.0
/*
 * Plan: which chunks to move so that a request fits.
 *
 * Whatever overlaps the place of the request has to be copied, so the cheapest
 * places are tried first: evict what is there to holes elsewhere, by best fit.
 * Then the same with longer places, where some pieces may stay, but slide
 * together. At last, slide all pieces of a segment, which is what is between
 * two fixed pieces, together, with the others compacted for those that have to
 * leave it.
 *
 * Nothing of the kernel but ALIGN() is used, so that this file can be compiled
 * and tested on the host.
 */
#include <linux/kernel.h>
#include <linux/stddef.h>

#include "plan.h"

/* Pieces and holes to look at: less than 20 ms on a slow emulated board. */
#define PLAN_STEPS		120000UL
/* The same for each of the sizes that cm_plan_largest() tries, and for all. */
#define PLAN_STEPS_SIZE		(PLAN_STEPS / 16)
#define PLAN_STEPS_LARGEST	(PLAN_STEPS * 4)
#define PLAN_NONE		((unsigned long)-1)

/* When a piece moves, if at all. */
enum plan_phase { PLAN_STAYS, PLAN_COMPACTED, PLAN_EVICTED, PLAN_SLIDES };

enum plan_kind {
	PLAN_WINDOW,	/* evict all pieces in the way */
	PLAN_RUN,	/* slide the pieces in the way, or evict some of them */
	PLAN_COMPACT,	/* the same, while other segments are compacted */
};

/* A way to make room. */
struct plan_way {
	enum plan_kind kind;
	unsigned int first, behind;	/* pieces in the way: [first, behind) */
	unsigned long place;		/* that they overlap */
	unsigned long cost;		/* page frames of all of them */
};

struct plan_state {
	struct cm_plan *plan;
	const struct cm_piece *pieces;
	struct cm_plan_scratch *scratch;
	unsigned int n;			/* number of pieces */
	unsigned int holes;		/* number of holes */
	unsigned long end;		/* number of the page frame behind the map */
	unsigned long count, align;	/* what is wanted */
	unsigned long place;		/* where it fits after what is being tried */
	unsigned long cost;		/* of the cheapest plan, or PLAN_NONE */
	unsigned long steps, limit;	/* taken so far, and when to stop */
};

/* Return: whether there is time left after so many steps. */
static bool plan_step(struct plan_state *s, unsigned long steps)
{
	s->steps += steps;
	return s->steps < s->limit;
}

/* Where the hole in front of a piece, or of the map's end, begins. */
static unsigned long plan_hole_start(const struct plan_state *s, unsigned int i)
{
	return i ? s->pieces[i - 1].start + s->pieces[i - 1].count :
		   s->plan->start;
}

static unsigned long plan_hole_end(const struct plan_state *s, unsigned int i)
{
	return i < s->n ? s->pieces[i].start : s->end;
}

/* The first piece at or after @i that is fixed, or the number of pieces. */
static unsigned int plan_next_fixed(const struct plan_state *s, unsigned int i)
{
	while (i < s->n && !s->pieces[i].fixed)
		i++;
	return i;
}

/* Find the first place in [start, end), if there is one. */
static bool plan_fit(unsigned long start, unsigned long end,
		     unsigned long count, unsigned long align, unsigned long *at)
{
	*at = ALIGN(start, align);
	return *at >= start && *at <= end && end - *at >= count;
}

/* Slide a piece down to what is below it. Return: where it then ends. */
static unsigned long plan_slide(struct plan_state *s, unsigned int i,
				unsigned long start)
{
	const struct cm_piece *piece = &s->pieces[i];

	/* A piece that is not aligned now might have to go up: it stays. */
	if (!plan_fit(start, piece->start + piece->count, piece->count,
		      piece->align, &s->scratch[i].to))
		s->scratch[i].to = piece->start;
	return s->scratch[i].to + piece->count;
}

/* Find the holes elsewhere: as they are, or one where a segment is compacted. */
static void plan_find_holes(struct plan_state *s, const struct plan_way *way)
{
	unsigned int first, behind, i;
	unsigned long start, end;

	s->holes = 0;
	for (first = 0; first <= s->n; first = behind + 1) {
		behind = way->kind == PLAN_COMPACT ? plan_next_fixed(s, first) :
						     first;
		if (first >= way->first && first <= way->behind)
			continue;
		start = plan_hole_start(s, first);
		end = plan_hole_end(s, behind);
		for (i = first; i < behind; i++)
			start = plan_slide(s, i, start);
		if (start < end)
			s->scratch[s->holes++].hole = (struct cm_plan_hole){
				start, end, first, behind
			};
	}
}

/* Find the smallest hole that takes a piece, or NULL. */
static struct cm_plan_hole *plan_best_fit(struct plan_state *s,
					  const struct cm_piece *piece)
{
	unsigned long left, best_left = PLAN_NONE, at;
	struct cm_plan_hole *hole, *best = NULL;
	unsigned int i;

	for (i = 0; i < s->holes && best_left; i++) {
		hole = &s->scratch[i].hole;
		left = hole->end - hole->start - piece->count;
		if (left < best_left && plan_fit(hole->start, hole->end,
						 piece->count, piece->align,
						 &at)) {
			best = hole;
			best_left = left;
		}
	}
	return plan_step(s, i) ? best : NULL;
}

/* Let a piece go to a hole, for which others may have to slide down. */
static bool plan_evict(struct plan_state *s, unsigned int i)
{
	struct cm_plan_hole *hole = plan_best_fit(s, &s->pieces[i]);
	struct cm_plan_scratch *scratch = &s->scratch[i];

	scratch->no_hole = !hole;
	if (!hole)
		return false;
	scratch->phase = PLAN_EVICTED;
	scratch->to = ALIGN(hole->start, s->pieces[i].align);
	for (; hole->first < hole->behind; hole->first++)
		s->scratch[hole->first].phase = PLAN_COMPACTED;
	hole->start = scratch->to + s->pieces[i].count;
	if (hole->start == hole->end)
		*hole = s->scratch[--s->holes].hole;
	return true;
}

/* What to evict: the largest piece that is in the way and has somewhere to go. */
static bool plan_pick(struct plan_state *s, const struct plan_way *way,
		      unsigned int *picked)
{
	unsigned long largest = 0;
	unsigned int i;

	for (i = way->first; i < way->behind; i++) {
		if (s->scratch[i].phase == PLAN_EVICTED ||
		    s->scratch[i].no_hole || s->pieces[i].count <= largest)
			continue;
		largest = s->pieces[i].count;
		*picked = i;
	}
	return plan_step(s, i - way->first) && largest;
}

/* Evict all pieces in the way, the largest first. */
static bool plan_clear(struct plan_state *s, const struct plan_way *way)
{
	unsigned int i;

	s->place = way->place;
	while (plan_pick(s, way, &i))
		if (!plan_evict(s, i))
			return false;
	return s->steps < s->limit;
}

/*
 * Slide the pieces in the way that are not evicted down until the request fits
 * behind them. Return: 0, or how many page frames are missing.
 */
static unsigned long plan_stack(struct plan_state *s, const struct plan_way *way)
{
	unsigned long start = plan_hole_start(s, way->first);
	unsigned long end = plan_hole_end(s, way->behind);
	bool fits = false;
	unsigned int i;

	for (i = way->first; i < way->behind; i++) {
		if (s->scratch[i].phase == PLAN_EVICTED)
			continue;
		fits = fits || plan_fit(start, s->pieces[i].start, s->count,
					s->align, &s->place);
		s->scratch[i].phase = fits ? PLAN_STAYS : PLAN_SLIDES;
		if (!fits)
			start = plan_slide(s, i, start);
	}
	if (!plan_step(s, i - way->first))
		return PLAN_NONE;
	if (fits || plan_fit(start, end, s->count, s->align, &s->place))
		return 0;
	return s->place < start || s->place > end ? s->count :
						    s->count - (end - s->place);
}

/* Evict pieces in the way until the request fits between the others. */
static bool plan_make_room(struct plan_state *s, const struct plan_way *way)
{
	unsigned long missing, count;
	unsigned int i;

	while ((missing = plan_stack(s, way))) {
		for (count = 0; count < missing;) {
			if (!plan_pick(s, way, &i))
				return false;
			if (plan_evict(s, i))
				count += s->pieces[i].count;
		}
	}
	return true;
}

static bool plan_moves(const struct plan_state *s, unsigned int i)
{
	return s->scratch[i].phase != PLAN_STAYS &&
	       s->scratch[i].to != s->pieces[i].start;
}

/* Keep what has been found out, if it is cheaper than the plan that there is. */
static void plan_record(struct plan_state *s)
{
	struct cm_plan *plan = s->plan;
	enum plan_phase phase;
	unsigned long cost = 0;
	unsigned int i;

	plan_step(s, 4 * s->n);
	for (i = 0; i < s->n; i++)
		cost += plan_moves(s, i) ? s->pieces[i].count : 0;
	if (cost >= s->cost)
		return;
	s->cost = cost;
	plan->cost = cost;
	plan->place = s->place;
	plan->move_count = 0;
	for (phase = PLAN_COMPACTED; phase <= PLAN_SLIDES; phase++)
		for (i = 0; i < s->n; i++)
			if (s->scratch[i].phase == phase && plan_moves(s, i))
				plan->moves[plan->move_count++] =
					(struct cm_move){ s->scratch[i].to, i };
}

/* Return: whether a way leads to a plan, be it a cheap one or not. */
static bool plan_try(struct plan_state *s, const struct plan_way *way)
{
	unsigned int i;

	if (s->steps >= s->limit)
		return false;
	plan_step(s, 3 * s->n);
	for (i = 0; i < s->n; i++) {
		s->scratch[i].phase = PLAN_STAYS;
		s->scratch[i].no_hole = false;
	}
	plan_find_holes(s, way);
	if (way->kind == PLAN_WINDOW ? !plan_clear(s, way) :
				       !plan_make_room(s, way))
		return false;
	plan_record(s);
	return true;
}

static bool plan_is_dearer(const struct plan_way *a, const struct plan_way *b)
{
	return a->cost != b->cost ? a->cost > b->cost : a->place > b->place;
}

/*
 * Find the cheapest window that is not cheaper than @from, and cheaper than
 * @best. Windows begin behind a piece. They go up, and so do the pieces that
 * overlap them: no need to begin again for each.
 */
static void plan_find_window(struct plan_state *s, unsigned long size,
			     const struct plan_way *from, struct plan_way *best)
{
	struct plan_way way = { .kind = PLAN_WINDOW };
	unsigned int i, fixed = 0;

	if (size > s->count)
		way.kind = PLAN_RUN;
	for (i = 0; i <= s->n; i++) {
		if (!plan_fit(plan_hole_start(s, i), s->end, size, s->align,
			      &way.place))
			break;
		for (; plan_hole_end(s, way.behind) < way.place + size;
		     way.behind++) {
			way.cost += s->pieces[way.behind].count;
			fixed += s->pieces[way.behind].fixed;
		}
		for (; way.first < way.behind &&
		     plan_hole_start(s, way.first + 1) <= way.place; way.first++) {
			way.cost -= s->pieces[way.first].count;
			fixed -= s->pieces[way.first].fixed;
		}
		if (!fixed && !plan_is_dearer(from, &way) &&
		    plan_is_dearer(best, &way))
			*best = way;
	}
	plan_step(s, 3 * s->n);
}

/*
 * All that is in the way has to move if nothing stays in the window: the first
 * plan is then the cheapest. Return: whether any window was worth a try.
 */
static bool plan_try_windows(struct plan_state *s, unsigned long size)
{
	struct plan_way from = { .cost = 0 }, way;
	bool any = false;

	for (;;) {
		way = (struct plan_way){ .cost = s->cost };
		plan_find_window(s, size, &from, &way);
		if (way.cost >= s->cost)
			return any;
		any = true;
		if (plan_try(s, &way) || s->steps >= s->limit)
			return true;
		from = way;
		from.place++;
	}
}

static void plan_try_segments(struct plan_state *s)
{
	struct plan_way way = { .kind = PLAN_COMPACT };

	for (; way.first <= s->n; way.first = way.behind + 1) {
		way.behind = plan_next_fixed(s, way.first);
		if (plan_hole_end(s, way.behind) -
		    plan_hole_start(s, way.first) >= s->count)
			plan_try(s, &way);
	}
}

static struct plan_state plan_begin(struct cm_plan *plan, unsigned long align)
{
	plan->move_count = 0;
	plan->cost = 0;
	return (struct plan_state){
		.plan = plan,
		.pieces = plan->pieces,
		.scratch = plan->scratch,
		.n = plan->piece_count,
		.end = plan->start + plan->count,
		.align = align,
	};
}

static bool plan_search(struct plan_state *s, unsigned long count,
			unsigned long steps)
{
	unsigned long size = count;

	s->count = count;
	s->cost = PLAN_NONE;
	/* Enough for a window or two, however many pieces there are. */
	s->limit = s->steps + steps / 4 * 3 + 8 * s->n;
	while (plan_try_windows(s, size) && s->steps < s->limit &&
	       s->plan->count - size > size / 4)
		size += size / 4 + 1;
	if (s->cost != PLAN_NONE)
		return true;
	/* Enough for one segment: that never fails if it is the whole map. */
	s->limit = s->steps + steps / 4 + 5 * s->n;
	plan_try_segments(s);
	return s->cost != PLAN_NONE;
}

/**
 * cm_plan_scratch_count() - working memory that a plan takes
 * @piece_count: number of pieces
 *
 * Return: number of elements of &struct cm_plan.scratch.
 */
unsigned int cm_plan_scratch_count(unsigned int piece_count)
{
	/* There is one more hole, but what is beside the way does not count. */
	return piece_count;
}

/**
 * cm_plan_make() - find moves after which a request fits
 * @plan:  the map; the plan is filled in
 * @count: page frames wanted, at least 1
 * @align: page frames, a power of two
 *
 * Where nothing is fixed and every alignment is one page frame, a plan is found
 * if there are @count free page frames. Otherwise a plan may be overlooked.
 * Copies few page frames, if not always the fewest. Takes a bounded number of
 * steps, see PLAN_STEPS, besides a small multiple of the number of pieces.
 *
 * Return: false if no plan was found.
 */
bool cm_plan_make(struct cm_plan *plan, unsigned long count, unsigned long align)
{
	struct plan_state s = plan_begin(plan, align);

	return plan_search(&s, count, PLAN_STEPS);
}

/**
 * cm_plan_largest() - find moves that make a hole as large as possible
 * @plan:  the map; the plan is filled in
 * @align: page frames, a power of two
 *
 * There are no moves in the plan if the largest hole that was found is there
 * already.
 *
 * Return: false if there is no place even for one page frame.
 */
bool cm_plan_largest(struct cm_plan *plan, unsigned long align)
{
	struct plan_state s = plan_begin(plan, align);
	unsigned long low = 0, high = plan->count, count, at;
	unsigned int i;

	for (i = 0; i <= s.n; i++) {
		if (plan_fit(plan_hole_start(&s, i), plan_hole_end(&s, i),
			     1, align, &at) && plan_hole_end(&s, i) - at > low)
			low = plan_hole_end(&s, i) - at;
		if (i < s.n)
			high -= s.pieces[i].count;
	}
	for (count = high; low < high && s.steps < PLAN_STEPS_LARGEST;
	     count = high - (high - low) / 2) {
		if (plan_search(&s, count, PLAN_STEPS_SIZE))
			low = count;
		else
			high = count - 1;
	}
	return low && plan_search(&s, low, PLAN_STEPS_SIZE);
}
