// SPDX-License-Identifier: GPL-2.0
/*
 * Placement: best fit with alignment over an address-ordered list of extents.
 *
 * No kernel service but lists, ALIGN(), min() and max() is used, so that this file
 * can be compiled for the host and tested against a model there.
 */
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/minmax.h>

#include "placement.h"

/**
 * cm_placement_init() - make an empty map
 * @map:   the map
 * @start: first page frame number
 * @count: number of page frames
 */
void cm_placement_init(struct cm_placement *map, unsigned long start,
		       unsigned long count)
{
	map->start = start;
	map->count = count;
	map->used = 0;
	map->spare = 0;
	INIT_LIST_HEAD(&map->extents);
}

static unsigned long hole_start(const struct cm_placement *map,
				const struct list_head *prev)
{
	const struct cm_extent *extent;

	if (prev == &map->extents)
		return map->start;
	extent = list_entry(prev, struct cm_extent, node);
	return extent->start + extent->count;
}

static unsigned long hole_end(const struct cm_placement *map,
			      const struct list_head *prev)
{
	if (prev->next == &map->extents)
		return map->start + map->count;
	return list_entry(prev->next, struct cm_extent, node)->start;
}

/* The first place in [start, end) that comes after @last, or @end. */
static unsigned long first_after(unsigned long start, unsigned long end,
				 unsigned long align, unsigned long stride,
				 const struct cm_place *last)
{
	unsigned long place = ALIGN(start, align);

	if (end - start == last->hole_count && place <= last->start) {
		place += (last->start - place) / stride * stride + stride;
		if (place <= last->start)
			return end;
	}
	return place < start ? end : min(place, end);
}

/**
 * cm_placement_next() - find the best place that has not been tried
 * @map:    the map
 * @count:  page frames wanted, at least 1
 * @align:  page frames, a power of two; page frame numbers are aligned, so
 *          that physical addresses are
 * @stride: distance between two places in one hole, a multiple of @align
 * @place:  in: the place tried last, or zeros; out: the next one
 *
 * Places are ordered by the size of their hole, smallest first, and then by
 * address. The map may change between two calls: a place is never visited
 * twice as long as its hole keeps its size.
 *
 * Return: false when there is none left; @place is then unchanged.
 */
bool cm_placement_next(struct cm_placement *map, unsigned long count,
		       unsigned long align, unsigned long stride,
		       struct cm_place *place)
{
	struct cm_place best = { 0 };
	struct list_head *prev = &map->extents;

	do {
		unsigned long start = hole_start(map, prev);
		unsigned long end = hole_end(map, prev);
		unsigned long at;

		if (end - start >= place->hole_count &&
		    (!best.prev || end - start < best.hole_count)) {
			at = first_after(start, end, align, stride, place);
			if (end - at >= count)
				best = (struct cm_place){ end - start, at, prev };
		}
		prev = prev->next;
	} while (prev != &map->extents);

	if (!best.prev)
		return false;
	*place = best;
	return true;
}

/**
 * cm_placement_insert() - take the page frames at a place
 * @map:    the map, unchanged since cm_placement_next() found @place
 * @extent: filled in but for @owner and @spare, and linked; the caller's until it is
 *          removed
 * @place:  the place
 * @count:  page frames, as asked for when @place was found
 */
void cm_placement_insert(struct cm_placement *map, struct cm_extent *extent,
			 const struct cm_place *place, unsigned long count)
{
	extent->start = place->start;
	extent->count = count;
	list_add(&extent->node, place->prev);
	map->used += count;
	if (extent->spare)
		map->spare += count;
}

/**
 * cm_placement_take() - take certain page frames
 * @map:    the map
 * @extent: filled in but for @owner and @spare, and linked; the caller's until it is
 *          removed
 * @start:  first page frame number
 * @count:  page frames, at least 1
 *
 * Return: false, and nothing changed, when not all of them are free.
 */
bool cm_placement_take(struct cm_placement *map, struct cm_extent *extent,
		       unsigned long start, unsigned long count)
{
	struct list_head *prev = &map->extents;
	struct cm_place place;

	/* To the last extent that starts before the place. */
	while (prev->next != &map->extents &&
	       list_entry(prev->next, struct cm_extent, node)->start < start)
		prev = prev->next;
	if (start < hole_start(map, prev) || hole_end(map, prev) < start ||
	    hole_end(map, prev) - start < count)
		return false;
	place = (struct cm_place){ .start = start, .prev = prev };
	cm_placement_insert(map, extent, &place, count);
	return true;
}

/**
 * cm_placement_leave() - give up page frames that have yet to be given back
 * @map:    the map
 * @extent: an extent of it, spare or not
 * @count:  page frames from its start, at least 1; the others are free at once
 */
void cm_placement_leave(struct cm_placement *map, struct cm_extent *extent,
			unsigned long count)
{
	map->used -= extent->count - count;
	if (extent->spare)
		map->spare -= extent->count;
	map->spare += count;
	extent->count = count;
	extent->spare = true;
}

/**
 * cm_extent_is_taken() - tell whether an extent is still in its map
 * @extent: an extent, whose node was initialized
 *
 * Return: whether it is in one.
 */
bool cm_extent_is_taken(const struct cm_extent *extent)
{
	return !list_empty(&extent->node);
}

/**
 * cm_placement_remove() - give the page frames of an extent back to the map
 * @map:    the map
 * @extent: an extent of it
 */
void cm_placement_remove(struct cm_placement *map, struct cm_extent *extent)
{
	list_del_init(&extent->node);
	map->used -= extent->count;
	if (extent->spare)
		map->spare -= extent->count;
}

/**
 * cm_placement_free() - how much no chunk has
 * @map: the map
 *
 * Return: page frames.
 */
unsigned long cm_placement_free(const struct cm_placement *map)
{
	return map->count - map->used + map->spare;
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
		largest = max(largest, hole_end(map, prev) - hole_start(map, prev));
		prev = prev->next;
	} while (prev != &map->extents);
	return largest;
}
