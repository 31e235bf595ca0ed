/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Placement: which page frames of a context are taken, and where the next
 * chunk goes.
 */
#ifndef CM_PLACEMENT_H
#define CM_PLACEMENT_H

#include <linux/list.h>
#include <linux/types.h>

/**
 * struct cm_extent - page frames that are taken
 * @node:  in &struct cm_placement.extents, ordered by @start
 * @owner: the chunk that they belong to or were taken for
 * @spare: no chunk has them: they were taken for one that moves there, were left
 *         behind by one, or are on their way back
 * @start: first page frame number
 * @count: number of page frames
 */
struct cm_extent {
	struct list_head node;
	void *owner;
	bool spare;
	unsigned long start;
	unsigned long count;
};

/**
 * struct cm_placement - the map of one context
 * @start:   first page frame number
 * @count:   number of page frames
 * @used:    page frames in extents
 * @spare:   those of them that are spare
 * @extents: every &struct cm_extent, ordered by start, not overlapping
 *
 * Holes are what lies between two neighbours of the list. A chunk carries its
 * own extent, so the map needs no memory of its own and can never fail to
 * free; genalloc knows no largest hole and would need one bit a page, drm_mm
 * would pull the whole of DRM onto headless boards. Walking the list is
 * linear in the number of chunks, of which a board has tens or hundreds.
 *
 * Locking: the caller's.
 */
struct cm_placement {
	unsigned long start;
	unsigned long count;
	unsigned long used;
	unsigned long spare;
	struct list_head extents;
};

/**
 * struct cm_place - a candidate, and the cursor of the search for the next
 * @hole_count: page frames of the hole that it lies in
 * @start:      first page frame number
 * @prev:       list position behind which an extent at @start belongs
 *
 * All zero before the first search.
 */
struct cm_place {
	unsigned long hole_count;
	unsigned long start;
	struct list_head *prev;
};

void cm_placement_init(struct cm_placement *map, unsigned long start,
		       unsigned long count);
bool cm_placement_next(struct cm_placement *map, unsigned long count,
		       unsigned long align, unsigned long stride,
		       struct cm_place *place);
void cm_placement_insert(struct cm_placement *map, struct cm_extent *extent,
			 const struct cm_place *place, unsigned long count);
bool cm_placement_take(struct cm_placement *map, struct cm_extent *extent,
		       unsigned long start, unsigned long count);
void cm_placement_leave(struct cm_placement *map, struct cm_extent *extent,
			unsigned long count);
bool cm_extent_is_taken(const struct cm_extent *extent);
void cm_placement_remove(struct cm_placement *map, struct cm_extent *extent);
unsigned long cm_placement_free(const struct cm_placement *map);
unsigned long cm_placement_largest_hole(const struct cm_placement *map);

#endif /* CM_PLACEMENT_H */
