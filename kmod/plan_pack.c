// SPDX-License-Identifier: GPL-2.0
/*
 * Plan, by packing: what lies between two fixed pieces is a bin. Find out which
 * piece goes to which bin; plan_settle.c finds out how to get there.
 *
 * The search chooses places, of which there are many; bins are few. So this
 * finds a plan where a request leaves so little over that bins must be filled to
 * the last page frame.
 */
#include <linux/minmax.h>

#include "planner.h"

static bool insert_by_count(struct packing *k, unsigned int i)
{
	const struct cm_piece *pieces = k->p->pieces;
	struct cm_slot *slots = k->p->slots;
	unsigned int q = k->loose++;

	for (; q && pieces[slots[q - 1].by_count].count < pieces[i].count; q--)
		slots[q].by_count = slots[q - 1].by_count;
	slots[q].by_count = i;
	return toil(k->p, k->loose - q);
}

static bool insert_by_room(struct packing *k, unsigned int b)
{
	struct cm_slot *slots = k->p->slots;
	unsigned int q = b;

	for (; q && slots[slots[q - 1].by_room].bin.room > slots[b].bin.room; q--)
		slots[q].by_room = slots[q - 1].by_room;
	slots[q].by_room = b;
	return toil(k->p, b - q + 1);
}

/* Make bins of what lies between fixed pieces; false when told to end. */
static bool divide(struct packing *k)
{
	struct planner *p = k->p;
	struct cm_slot *slots = p->slots;
	unsigned int i;

	slots[0].bin.start = p->plan->start;
	for (i = 0; i < p->n; i++) {
		if (!p->pieces[i].fixed) {
			if (!insert_by_count(k, i))
				return false;
			continue;
		}
		slots[k->bins].bin.end = p->pieces[i].start;
		slots[++k->bins].bin.start = hole_start(p, i + 1);
	}
	slots[k->bins++].bin.end = p->end;
	return true;
}

/* Put every piece where it is. */
static void begin(struct packing *k)
{
	struct planner *p = k->p;
	unsigned int i, b = 0;

	for (i = 0; i < p->n; i++) {
		struct cm_slot *slot = &p->slots[i];

		slot->in = b;
		slot->goal = NONE;
		slot->parked = false;
		slot->to = p->pieces[i].start;
		slot->by_place = i;
		b += p->pieces[i].fixed;
	}
	p->steps += p->n + 1;
	toil(p, p->n + 1);
}

/*
 * Give the target to the request; false if that leaves too little for the rest,
 * or when told to end.
 */
static bool reserve(struct packing *k)
{
	struct planner *p = k->p;
	unsigned long room = 0;
	unsigned int b, q;

	for (b = 0; b < k->bins; b++) {
		struct cm_bin *bin = &p->slots[b].bin;

		bin->room = bin->end - bin->start;
		if (b == k->target)
			bin->room -= p->request.count;
		room += bin->room;
		if (!insert_by_room(k, b))
			return false;
	}
	for (q = 0; q < k->loose; q++) {
		unsigned long count = p->pieces[p->slots[q].by_count].count;

		if (room < count)
			return false;
		room -= count;
	}
	k->slack = room;
	k->filled = 0;
	k->depth = 0;
	return true;
}

static unsigned int filling(const struct packing *k)
{
	return k->p->slots[k->filled].by_room;
}

/*
 * Candidates for the bin that is being filled have numbers: first the pieces
 * that lie there, largest first; then @loose, which is to leave it as it is;
 * then the other pieces, largest first.
 */
static unsigned int piece_of(const struct packing *k, unsigned int candidate)
{
	unsigned int q = candidate < k->loose ? candidate :
			 candidate - k->loose - 1;

	return k->p->slots[q].by_count;
}

static unsigned long count_of(const struct packing *k, unsigned int candidate)
{
	return k->p->pieces[piece_of(k, candidate)].count;
}

static bool is_candidate(const struct packing *k, unsigned int candidate)
{
	const struct cm_slot *slots = k->p->slots;
	unsigned int i, b = filling(k);

	if (candidate == k->loose)
		return slots[b].bin.room <= k->slack;
	i = piece_of(k, candidate);
	return slots[i].goal == NONE &&
	       (slots[i].in == b) == (candidate < k->loose) &&
	       k->p->pieces[i].count <= slots[b].bin.room;
}

/* Whether what was true of one candidate is true of another. */
static bool is_like(const struct packing *k, unsigned int candidate,
		    unsigned int other)
{
	return candidate != k->loose && other != k->loose &&
	       (candidate < k->loose) == (other < k->loose) &&
	       count_of(k, candidate) == count_of(k, other);
}

/* Pieces are chosen for a bin in the order of their numbers. */
static unsigned int last_choice(const struct packing *k)
{
	unsigned int last = k->depth ? k->p->slots[k->depth - 1].choice :
				       k->loose;

	return last == k->loose ? NONE : last;
}

/* Return: the first candidate, or the first after the one that @failed. */
static unsigned int next_candidate(struct packing *k, unsigned int failed)
{
	unsigned int last = last_choice(k), candidate = 0;

	if (failed != NONE)
		candidate = failed + 1;
	else if (last != NONE)
		candidate = min(last + 1, k->loose);
	for (; candidate <= 2 * k->loose; candidate++) {
		k->p->steps++;
		toil(k->p, 1);
		if (candidate != k->loose && last != NONE && candidate <= last)
			continue;
		if (failed != NONE && is_like(k, candidate, failed))
			continue;
		if (is_candidate(k, candidate))
			return candidate;
	}
	return NONE;
}

static void choose(struct packing *k, unsigned int candidate)
{
	struct cm_slot *slots = k->p->slots;
	unsigned int b = filling(k);

	slots[k->depth++].choice = candidate;
	if (candidate == k->loose) {
		k->slack -= slots[b].bin.room;
		k->filled++;
	} else {
		slots[piece_of(k, candidate)].goal = b;
		slots[b].bin.room -= count_of(k, candidate);
	}
}

/* Return: the choice that was undone. */
static unsigned int unchoose(struct packing *k)
{
	struct cm_slot *slots = k->p->slots;
	unsigned int candidate = slots[--k->depth].choice;

	if (candidate == k->loose) {
		k->filled--;
		k->slack += slots[filling(k)].bin.room;
	} else {
		slots[piece_of(k, candidate)].goal = NONE;
		slots[filling(k)].bin.room += count_of(k, candidate);
	}
	return candidate;
}

static void fill_last(struct packing *k)
{
	struct cm_slot *slots = k->p->slots;
	unsigned int q;

	for (q = 0; q < k->loose; q++) {
		struct cm_slot *slot = &slots[slots[q].by_count];

		if (slot->goal == NONE)
			slot->goal = filling(k);
	}
}

/* Fill bin after bin, the smallest first; the last one takes what is left. */
static bool fill_bins(struct packing *k)
{
	unsigned int candidate, failed = NONE;

	while (k->filled + 1 < k->bins) {
		if (spent(k->p))
			return false;
		candidate = next_candidate(k, failed);
		if (candidate != NONE) {
			choose(k, candidate);
			failed = NONE;
		} else if (k->depth) {
			failed = unchoose(k);
		} else {
			return false;
		}
	}
	fill_last(k);
	return true;
}

static bool pack_around(struct packing *k, unsigned int target)
{
	const struct cm_bin *bin = &k->p->slots[target].bin;

	if (bin->end - bin->start < k->p->request.count)
		return false;
	k->target = target;
	begin(k);
	return reserve(k) && fill_bins(k) && cm_planner_settle(k);
}

/**
 * cm_planner_pack() - make any plan by packing
 * @p: the planner
 *
 * Return: whether there is one; it is in the caller's &struct cm_plan then.
 */
bool cm_planner_pack(struct planner *p)
{
	struct packing k = { .p = p };
	unsigned int target;

	p->limit = p->budget;
	if (!divide(&k))
		return false;
	for (target = 0; target < k.bins && !spent(p); target++)
		if (pack_around(&k, target))
			return true;
	return false;
}
