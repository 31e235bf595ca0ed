// SPDX-License-Identifier: GPL-2.0
/*
 * Move: taking a chunk to another place, with its mappings.
 *
 * The pages of the new place are taken first, while nothing is locked that a
 * free, a query or a page fault needs. Then the chunk is locked, every page
 * table entry of it is removed, its bytes are copied, and whoever touches a
 * mapping next faults the new pages in.
 */
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/mm.h>

#include "chunk.h"
#include "deadline.h"
#include "dmabuf.h"
#include "move.h"
#include "search.h"

/* A page held for a moment (by a system call that copies) is let go by then. */
#define HELD_TRIES	5
#define HELD_WAIT_US	200

/*
 * Reserve what a chunk lacks of its new place: all of it, or what is left of
 * it on one side when the chunk slides over its own pages.
 */
static int reserve(struct cm_chunk *chunk, unsigned long to,
		   struct cm_extent *spare)
{
	struct cm_context *ctx = chunk->ctx;
	const struct cm_extent *from = &chunk->extent;
	unsigned long start = to, count = from->count;
	int ret = -ESTALE;

	mutex_lock(&ctx->lock);
	if (cm_extent_is_taken(from)) {
		if (to > from->start)
			start = max(to, from->start + count);
		else
			count = min(count, from->start - to);
		count = min(count, to + from->count - start);
		if (cm_placement_take(&ctx->map, spare, start, count))
			ret = 0;
	}
	mutex_unlock(&ctx->lock);
	return ret;
}

/*
 * Reserve it and make the system leave it. EAGAIN when its pages there have
 * become an obstacle.
 */
static int take_place(struct cm_chunk *chunk, unsigned long to,
		      struct cm_extent *spare, u64 deadline,
		      struct cm_obstacles *obstacles)
{
	struct cm_context *ctx = chunk->ctx;
	struct cm_turn *migrating = &ctx->bank.migrating;
	int ret;

	if (ctx->private)
		return reserve(chunk, to, spare);
	/* First: what is in the map when time is up is given back. */
	ret = cm_turn_take(migrating, deadline);
	if (ret)
		return ret;
	ret = reserve(chunk, to, spare);
	if (!ret)
		ret = cm_search_empty(ctx, spare, deadline, obstacles);
	cm_turn_give(migrating);
	return ret == -EBUSY || ret == -ENOMEM ? -EAGAIN : ret;
}

/*
 * Remove all mappings of a chunk, and see whether anybody still holds a page.
 * Nobody gets hold of one after that: faults wait for the chunk's lock, and
 * who walks page tables without one looks again after taking a reference.
 */
static int isolate(struct cm_chunk *chunk)
{
	int tries = HELD_TRIES;

	if (chunk->freed || !chunk->dmabuf)
		return -ESTALE;
	if (cm_chunk_is_fixed(chunk))
		return -EBUSY;
	cm_dmabuf_unmap_users(chunk);

	while (cm_chunk_first_held(chunk, 0) < chunk->extent.count) {
		if (!--tries)
			return -EBUSY;
		usleep_range(HELD_WAIT_US, 2 * HELD_WAIT_US);
	}
	return 0;
}

static void copy_page_at(unsigned long to, unsigned long from)
{
	copy_highpage(pfn_to_page(to), pfn_to_page(from));
	cond_resched();
}

/* What is not overwritten is still there when the copy is given up. */
static int copy_apart(unsigned long to, unsigned long from,
		      unsigned long count, u64 deadline)
{
	unsigned long i;
	int ret = 0;

	for (i = 0; i < count && !ret; i++) {
		copy_page_at(to + i, from + i);
		if (i % CM_DEADLINE_PAGES == 0)
			ret = cm_deadline_check(deadline);
	}
	return ret;
}

/* Like memmove(), which cannot be given up. */
static void copy_over(unsigned long to, unsigned long from,
		      unsigned long count)
{
	unsigned long i;

	if (to < from)
		for (i = 0; i < count; i++)
			copy_page_at(to + i, from + i);
	else
		for (i = count; i-- > 0;)
			copy_page_at(to + i, from + i);
}

static int copy_chunk(const struct cm_chunk *chunk, unsigned long to,
		      u64 deadline)
{
	unsigned long from = chunk->extent.start, count = chunk->extent.count;

	if (to + count <= from || from + count <= to)
		return copy_apart(to, from, count, deadline);
	copy_over(to, from, count);
	return 0;
}

/* @spare becomes what the chunk leaves behind. */
static void exchange(struct cm_chunk *chunk, unsigned long to,
		     struct cm_extent *spare)
{
	struct cm_context *ctx = chunk->ctx;
	struct cm_extent *extent = &chunk->extent;
	unsigned long from = extent->start, count = extent->count;
	unsigned long left = spare->count;

	mutex_lock(&ctx->lock);
	cm_placement_remove(&ctx->map, extent);
	cm_placement_remove(&ctx->map, spare);
	cm_placement_take(&ctx->map, extent, to, count);
	cm_placement_take(&ctx->map, spare,
			  to < from ? from + count - left : from, left);
	ctx->stats.moves++;
	ctx->stats.moved_bytes += (u64)count << PAGE_SHIFT;
	mutex_unlock(&ctx->lock);
}

static int relocate(struct cm_chunk *chunk, unsigned long to,
		    struct cm_extent *spare, u64 deadline)
{
	dma_addr_t dma;
	int ret;

	ret = isolate(chunk);
	if (!ret)
		ret = cm_chunk_map_dma(chunk, to, &dma);
	if (ret)
		return ret;
	ret = copy_chunk(chunk, to, deadline);
	if (ret) {
		cm_chunk_unmap_dma(chunk, dma);
		return ret;
	}
	exchange(chunk, to, spare);
	cm_chunk_change_dma(chunk, dma);
	return 0;
}

/**
 * cm_move() - take a chunk to another place of its context
 * @chunk:     the chunk, with a reference of the caller's
 * @to:        first page frame number of the place, aligned as the chunk
 *             needs; it may overlap where the chunk is
 * @deadline:  ktime_get_ns() at which to give up
 * @obstacles: where to remember a pageblock that the system would not leave
 *
 * Sleeps. Mappings, descriptors and contents stay; who touches a mapping
 * meanwhile waits for the copy of the chunk. A chunk that slides over its own
 * pages is copied whole, whatever the deadline. Moves in one context are the
 * caller's to serialize.
 *
 * Return: 0; EBUSY when the chunk must stay: it is pinned, mapped by a driver,
 * or somebody holds its pages; EAGAIN when the place has an obstacle; ESTALE
 * when the chunk was freed, or the place is not free any more; ENOMEM,
 * ETIMEDOUT, EINTR.
 */
int cm_move(struct cm_chunk *chunk, unsigned long to, u64 deadline,
	    struct cm_obstacles *obstacles)
{
	struct cm_chunk *spare = cm_chunk_new(chunk->ctx);
	int ret;

	if (!spare)
		return -ENOMEM;
	spare->extent.spare = true;
	spare->align = chunk->align;
	ret = take_place(chunk, to, &spare->extent, deadline, obstacles);
	if (!ret)
		ret = down_write_killable(&chunk->lock);
	if (!ret) {
		ret = relocate(chunk, to, &spare->extent, deadline);
		up_write(&chunk->lock);
	}
	/* Also a chunk that has moved is answered for before it is tidied up after. */
	cm_chunk_give_back(spare, ret ?: cm_deadline_check(deadline));
	cm_chunk_put(spare);
	return ret;
}
