// SPDX-License-Identifier: GPL-2.0
/*
 * Placement: best fit with alignment over an address-ordered list of extents,
 * in the granules that are taken already where that is possible.
 *
 * No kernel service but lists, ALIGN(), min() and max() is used, so that this
 * file can be compiled for the host and tested against a model there.
 */
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/minmax.h>

#include "placement.h"

/**
 * cm_placement_init() - make an empty map
 * @map:  the map
 * @bank: the memory; no extent reaches into its granules
 */
void cm_placement_init(struct cm_placement *map, struct cm_bank *bank)
{
	map->bank = bank;
	map->start = bank->start;
	map->count = bank->count;
	map->used = 0;
	map->kept_count = 0;
	map->extent_count = 0;
	INIT_LIST_HEAD(&map->extents);
}

/**
 * cm_granule_is_stuck() - whether a granule's pages would not leave
 * @granule: the granule
 * @horizon: a granule that is stuck since before is worth another try
 *
 * Return: whether it is better avoided.
 */
bool cm_granule_is_stuck(const struct cm_granule *granule, u64 horizon)
{
	return !granule->taken && granule->since > horizon;
}

static unsigned long placement_hole_start(const struct cm_placement *map,
					  const struct list_head *prev)
{
	const struct cm_extent *extent;

	if (prev == &map->extents)
		return map->start;
	extent = list_entry(prev, struct cm_extent, node);
	return extent->start + extent->count;
}

static unsigned long placement_hole_end(const struct cm_placement *map,
					const struct list_head *prev)
{
	if (prev->next == &map->extents)
		return map->start + map->count;
	return list_entry(prev->next, struct cm_extent, node)->start;
}

static bool placement_will_do(const struct cm_placement *map,
			      const struct cm_want *want, unsigned long pfn)
{
	const struct cm_granule *granule = cm_bank_granule(map->bank, pfn);

	return want->taken ? granule->taken :
			     !cm_granule_is_stuck(granule, want->horizon);
}

/* The first page frame of [from, end) whose granule will do or not, or @end. */
static unsigned long placement_next(const struct cm_placement *map,
				    const struct cm_want *want,
				    unsigned long from, unsigned long end,
				    bool will_do)
{
	while (from != end && placement_will_do(map, want, from) != will_do)
		from = min(end, cm_bank_granule_end(map->bank, from));
	return from;
}

/* Granules of [start, start + count) that would have to be taken. */
static unsigned long placement_cost(const struct cm_placement *map,
				    unsigned long start, unsigned long count)
{
	const struct cm_granule *granule = cm_bank_granule(map->bank, start);
	const struct cm_granule *last = cm_bank_granule(map->bank,
							start + count - 1);
	unsigned long cost = 0;

	for (; granule <= last; granule++)
		cost += !granule->taken;
	return cost;
}

/**
 * struct placement_search - the best place so far
 * @map:  the map
 * @want: what is looked for
 * @cost: granules that would have to be taken for it
 * @room: page frames of the free range that it lies in
 * @best: the place; @prev is NULL as long as there is none
 */
struct placement_search {
	const struct cm_placement *map;
	const struct cm_want *want;
	unsigned long cost;
	unsigned long room;
	struct cm_place best;
};

static void placement_consider(struct placement_search *s, unsigned long at,
			       unsigned long room, struct list_head *prev)
{
	unsigned long cost = placement_cost(s->map, at, s->want->count);

	if (s->best.prev && (cost > s->cost ||
			     (cost == s->cost && room >= s->room)))
		return;
	s->cost = cost;
	s->room = room;
	s->best = (struct cm_place){ .start = at, .prev = prev };
}

/* At the start and at the end of [start, end), all of which will do. */
static void placement_consider_ends(struct placement_search *s,
				    unsigned long start, unsigned long end,
				    struct list_head *prev)
{
	const struct cm_want *want = s->want;
	unsigned long first, last;

	if (end - start < want->count)
		return;
	first = ALIGN(start, want->align);
	last = (end - want->count) & ~(want->align - 1);
	if (first < start || last < first || last > end - want->count)
		return;
	placement_consider(s, first, end - start, prev);
	placement_consider(s, last, end - start, prev);
}

/* In [start, end), before and behind what is kept for somebody. */
static void placement_consider_range(struct placement_search *s,
				     unsigned long start, unsigned long end,
				     struct list_head *prev)
{
	unsigned long kept = s->map->kept_start;
	unsigned long behind = kept + s->map->kept_count;

	if (kept == behind || behind <= start || kept >= end) {
		placement_consider_ends(s, start, end, prev);
		return;
	}
	if (kept > start)
		placement_consider_ends(s, start, kept, prev);
	if (behind < end)
		placement_consider_ends(s, behind, end, prev);
}

/**
 * cm_placement_find() - find the best place
 * @map:   the map
 * @want:  what is looked for
 * @place: set to the place
 *
 * Of the first and the last place in each free range, the best one takes the
 * fewest granules from the system, and lies in the smallest range then.
 *
 * Return: false when there is none; @place is then unchanged.
 */
bool cm_placement_find(const struct cm_placement *map,
		       const struct cm_want *want, struct cm_place *place)
{
	struct placement_search s = { .map = map, .want = want };
	struct list_head *prev = (struct list_head *)&map->extents;

	do {
		unsigned long from = placement_hole_start(map, prev);
		unsigned long end = placement_hole_end(map, prev);

		while (end - from >= want->count && end != from) {
			unsigned long behind;

			from = placement_next(map, want, from, end, true);
			behind = placement_next(map, want, from, end, false);
			placement_consider_range(&s, from, behind, prev);
			from = behind;
		}
		prev = prev->next;
	} while (prev != &map->extents);

	if (!s.best.prev)
		return false;
	*place = s.best;
	return true;
}

/**
 * cm_placement_at() - find a certain place
 * @map:   the map
 * @start: first page frame number
 * @count: page frames, at least 1
 * @place: set to the place
 *
 * Return: false when not all of it is free.
 */
bool cm_placement_at(const struct cm_placement *map, unsigned long start,
		     unsigned long count, struct cm_place *place)
{
	struct list_head *prev = (struct list_head *)&map->extents;

	/* To the last extent that starts before the place. */
	while (prev->next != &map->extents &&
	       list_entry(prev->next, struct cm_extent, node)->start < start)
		prev = prev->next;
	if (start < placement_hole_start(map, prev) ||
	    placement_hole_end(map, prev) < start ||
	    placement_hole_end(map, prev) - start < count)
		return false;
	*place = (struct cm_place){ .start = start, .prev = prev };
	return true;
}

/**
 * cm_placement_insert() - occupy a place
 * @map:    the map, unchanged since @place was found
 * @extent: @owner and @reserved are the caller's, the rest is filled in
 * @place:  the place
 * @count:  page frames, as asked for when @place was found
 */
void cm_placement_insert(struct cm_placement *map, struct cm_extent *extent,
			 const struct cm_place *place, unsigned long count)
{
	struct cm_granule *granule = cm_bank_granule(map->bank, place->start);
	struct cm_granule *last = cm_bank_granule(map->bank,
						  place->start + count - 1);

	extent->start = place->start;
	extent->count = count;
	list_add(&extent->node, place->prev);
	map->extent_count++;
	if (!extent->reserved)
		map->used += count;
	for (; granule <= last; granule++) {
		granule->users++;
		if (granule->taken)
			granule->since = 0;
	}
}

/**
 * cm_placement_remove() - free the page frames of an extent
 * @map:    the map
 * @extent: an extent of it
 * @now:    ktime_get_ns(): since when its granules are empty, if they are now
 */
void cm_placement_remove(struct cm_placement *map, struct cm_extent *extent,
			 u64 now)
{
	struct cm_granule *granule = cm_bank_granule(map->bank, extent->start);
	struct cm_granule *last = cm_bank_granule(map->bank, extent->start +
						  extent->count - 1);

	list_del_init(&extent->node);
	map->extent_count--;
	if (!extent->reserved)
		map->used -= extent->count;
	for (; granule <= last; granule++)
		if (!--granule->users && granule->taken)
			granule->since = now;
}

/**
 * cm_placement_free() - how much no chunk has
 * @map: the map
 *
 * Return: page frames.
 */
unsigned long cm_placement_free(const struct cm_placement *map)
{
	return map->count - map->used;
}

/**
 * cm_placement_largest_hole() - size of the largest hole
 * @map: the map
 *
 * Return: page frames, whatever their alignment.
 */
unsigned long cm_placement_largest_hole(const struct cm_placement *map)
{
	const struct list_head *prev = &map->extents;
	unsigned long largest = 0;

	do {
		largest = max(largest, placement_hole_end(map, prev) -
				       placement_hole_start(map, prev));
		prev = prev->next;
	} while (prev != &map->extents);
	return largest;
}
