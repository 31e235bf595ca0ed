// SPDX-License-Identifier: GPL-2.0
/*
 * Plan, by packing: carry pieces to the bins that were chosen for them, in an
 * order in which there is always room for the next one.
 *
 * Where an alignment of a piece is more than one page frame, it may turn out
 * that there is not.
 */
#include "planner.h"

/* Room was what is not given away; from now on it is what is free. */
static void count_room(struct packing *k)
{
	struct cm_slot *slots = k->p->slots;
	unsigned int b, q;

	for (b = 0; b < k->bins; b++)
		slots[b].bin.room = slots[b].bin.end - slots[b].bin.start;
	for (q = 0; q < k->loose; q++) {
		unsigned int i = slots[q].by_count;

		slots[slots[i].in].bin.room -= k->p->pieces[i].count;
	}
}

static bool shift(struct packing *k, unsigned int i, unsigned long to)
{
	struct cm_plan *plan = k->p->plan;

	if (plan->move_count == cm_plan_moves(k->p->n)) {
		k->p->cut = true;
		return false;
	}
	plan->moves[plan->move_count++] = (struct cm_move){
		.piece = i,
		.to = to,
	};
	plan->cost += k->p->pieces[i].count;
	k->p->slots[i].to = to;
	return true;
}

/* The first piece, by place, that does not lie in front of a bin. */
static unsigned int first_in(const struct packing *k, const struct cm_bin *bin)
{
	const struct cm_slot *slots = k->p->slots;
	unsigned int q = 0;

	while (q < k->p->n && slots[slots[q].by_place].to < bin->start)
		q++;
	return q;
}

static bool slide(struct packing *k, const struct cm_bin *bin)
{
	const struct cm_piece *pieces = k->p->pieces;
	struct cm_slot *slots = k->p->slots;
	unsigned long at, start = bin->start;
	unsigned int q;

	for (q = first_in(k, bin); q < k->p->n; q++) {
		unsigned int i = slots[q].by_place;

		if (slots[i].to >= bin->end)
			break;
		if (fit(&pieces[i], start, bin->end, &at) && at < slots[i].to &&
		    !shift(k, i, at))
			return false;
		start = slots[i].to + pieces[i].count;
	}
	return true;
}

/* The place in the smallest hole of a bin. */
static bool find_place(const struct packing *k, const struct cm_bin *bin,
		       const struct cm_piece *piece, unsigned long *place)
{
	const struct cm_slot *slots = k->p->slots;
	unsigned long at, end, start = bin->start, best = NO_PLAN;
	unsigned int q = first_in(k, bin);

	for (;; q++) {
		unsigned int i = q < k->p->n ? slots[q].by_place : NONE;
		bool last = i == NONE || slots[i].to >= bin->end;

		end = last ? bin->end : slots[i].to;
		if (end - start < best && fit(piece, start, end, &at)) {
			best = end - start;
			*place = at;
		}
		if (last)
			return best != NO_PLAN;
		start = end + k->p->pieces[i].count;
	}
}

static bool make_place(struct packing *k, const struct cm_bin *bin,
		       const struct cm_piece *piece, unsigned long *place)
{
	return find_place(k, bin, piece, place) ||
	       (slide(k, bin) && find_place(k, bin, piece, place));
}

static void sort_by_place(struct packing *k)
{
	struct cm_slot *slots = k->p->slots;
	unsigned int i, j;

	for (i = 1; i < k->p->n; i++) {
		unsigned int moving = slots[i].by_place;

		for (j = i; j && slots[slots[j - 1].by_place].to >
				 slots[moving].to; j--)
			slots[j].by_place = slots[j - 1].by_place;
		slots[j].by_place = moving;
	}
}

static bool transfer(struct packing *k, unsigned int i, unsigned int b)
{
	const struct cm_piece *piece = &k->p->pieces[i];
	struct cm_slot *slots = k->p->slots;
	unsigned long to;

	if (!toil(k->p, k->p->n) ||
	    !make_place(k, &slots[b].bin, piece, &to) || !shift(k, i, to))
		return false;
	slots[slots[i].in].bin.room += piece->count;
	slots[b].bin.room -= piece->count;
	slots[i].in = b;
	sort_by_place(k);
	return true;
}

static bool is_astray(const struct packing *k, unsigned int i)
{
	return k->p->slots[i].in != k->p->slots[i].goal;
}

/* The largest piece that can go where it is to go. */
static unsigned int next_traveller(const struct packing *k)
{
	const struct cm_slot *slots = k->p->slots;
	unsigned int q;

	for (q = 0; q < k->loose; q++) {
		unsigned int i = slots[q].by_count;

		if (is_astray(k, i) &&
		    slots[slots[i].goal].bin.room >= k->p->pieces[i].count)
			return i;
	}
	return NONE;
}

static unsigned int roomiest_but(const struct packing *k, unsigned int except)
{
	const struct cm_slot *slots = k->p->slots;
	unsigned int b, best = NONE;

	for (b = 0; b < k->bins; b++)
		if (b != except && (best == NONE ||
				    slots[b].bin.room > slots[best].bin.room))
			best = b;
	return best;
}

/* Pieces wait for each other: put one somewhere else for a while. */
static bool park(struct packing *k)
{
	struct cm_slot *slots = k->p->slots;
	unsigned int b, q;

	for (q = 0; q < k->loose; q++) {
		unsigned int i = slots[q].by_count;

		if (slots[i].parked || !is_astray(k, i))
			continue;
		b = roomiest_but(k, slots[i].in);
		if (slots[b].bin.room < k->p->pieces[i].count)
			continue;
		slots[i].parked = true;
		return transfer(k, i, b);
	}
	return false;
}

static bool all_are_there(const struct packing *k)
{
	unsigned int q;

	for (q = 0; q < k->loose; q++)
		if (is_astray(k, k->p->slots[q].by_count))
			return false;
	return true;
}

/**
 * cm_planner_settle() - make the moves that a packing takes
 * @k: the packing
 *
 * Return: whether an order of moves was found.
 */
bool cm_planner_settle(struct packing *k)
{
	struct cm_plan *plan = k->p->plan;
	struct cm_slot *slots = k->p->slots;

	plan->move_count = 0;
	plan->cost = 0;
	count_room(k);
	while (!all_are_there(k)) {
		unsigned int i = next_traveller(k);

		if (i == NONE ? !park(k) : !transfer(k, i, slots[i].goal))
			return false;
	}
	return make_place(k, &slots[k->target].bin, &k->p->request,
			  &plan->place);
}
