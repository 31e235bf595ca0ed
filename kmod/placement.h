/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Placement: which page frames of a context are occupied, and where the next
 * chunk goes.
 */
#ifndef CM_PLACEMENT_H
#define CM_PLACEMENT_H

#include <linux/list.h>
#include <linux/types.h>

#include "bank.h"

/**
 * struct cm_extent - page frames that are occupied
 * @node:     in &struct cm_placement.extents, ordered by @start
 * @owner:    the chunk that they belong to
 * @reserved: its chunk is still on its way there, and counted where it is
 * @start:    first page frame number
 * @count:    number of page frames
 */
struct cm_extent {
	struct list_head node;
	void *owner;
	bool reserved;
	unsigned long start;
	unsigned long count;
};

/**
 * struct cm_placement - the map of one context
 * @bank:         the memory and its granules
 * @start:        first page frame number
 * @count:        number of page frames
 * @used:         page frames of extents that are not reserved
 * @kept_start:   first page frame number of a range where cm_placement_find()
 *                finds no place
 * @kept_count:   number of its page frames, 0 for none
 * @extents:      every &struct cm_extent, ordered by start, not overlapping
 * @extent_count: number of @extents
 *
 * Holes are what lies between two neighbours of the list. A chunk carries its
 * own extent, so the map needs no memory of its own and can never fail to
 * free. genalloc knows no largest hole and would need one bit a page, drm_mm
 * would pull the whole of DRM onto headless boards. Walking the list is linear
 * in the number of chunks, which is limited.
 *
 * Locking: that of the context.
 */
struct cm_placement {
	struct cm_bank *bank;
	unsigned long start;
	unsigned long count;
	unsigned long used;
	unsigned long kept_start;
	unsigned long kept_count;
	struct list_head extents;
	unsigned int extent_count;
};

/**
 * struct cm_want - what place is looked for
 * @count:   page frames, at least 1
 * @align:   page frames, a power of two; page frame numbers are aligned, so
 *           that physical addresses are
 * @taken:   only granules that are taken will do
 * @horizon: granules that are stuck since a time after this are avoided
 */
struct cm_want {
	unsigned long count;
	unsigned long align;
	bool taken;
	u64 horizon;
};

/**
 * struct cm_place - where an extent could go
 * @start: first page frame number
 * @prev:  list position behind which the extent belongs
 */
struct cm_place {
	unsigned long start;
	struct list_head *prev;
};

void cm_placement_init(struct cm_placement *map, struct cm_bank *bank);
bool cm_granule_is_stuck(const struct cm_granule *granule, u64 horizon);
bool cm_placement_find(const struct cm_placement *map,
		       const struct cm_want *want, struct cm_place *place);
bool cm_placement_at(const struct cm_placement *map, unsigned long start,
		     unsigned long count, struct cm_place *place);
void cm_placement_insert(struct cm_placement *map, struct cm_extent *extent,
			 const struct cm_place *place, unsigned long count);
void cm_placement_remove(struct cm_placement *map, struct cm_extent *extent,
			 u64 now);
unsigned long cm_placement_free(const struct cm_placement *map);
unsigned long cm_placement_largest_hole(const struct cm_placement *map);

#endif /* CM_PLACEMENT_H */
