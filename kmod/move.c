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

static int take_pages(struct cm_context *ctx, const struct cm_extent *spare,
		      u64 deadline)
{
	int ret;

	if (ctx->private)
		return 0;
	ret = cm_turn_take(&ctx->bank.migrating, deadline);
	if (ret)
		return ret;
	ret = cm_bank_take(&ctx->bank, spare->start, spare->count, deadline);
	cm_turn_give(&ctx->bank.migrating);
	return ret;
}

/*
 * Remove all mappings of a chunk, and see whether anybody still holds a page.
 * Nobody gets hold of one after that: faults wait for the chunk's lock, and
 * who walks page tables without one looks again after taking a reference.
 */
static int isolate(struct cm_chunk *chunk)
{
	int tries = HELD_TRIES;

	if (chunk->freed || cm_chunk_is_fixed(chunk) || !chunk->dmabuf)
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

/* Like memmove(): the two ranges may overlap. */
static void copy_pages(unsigned long to, unsigned long from,
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
		    struct cm_extent *spare)
{
	dma_addr_t dma;
	int ret;

	ret = isolate(chunk);
	if (!ret)
		ret = cm_chunk_map_dma(chunk, to, &dma);
	if (ret)
		return ret;
	copy_pages(to, chunk->extent.start, chunk->extent.count);
	exchange(chunk, to, spare);
	cm_chunk_change_dma(chunk, dma);
	return 0;
}

/**
 * cm_move() - take a chunk to another place of its context
 * @chunk:    the chunk, with a reference of the caller's
 * @to:       first page frame number of the place, aligned as the chunk needs;
 *            it may overlap where the chunk is
 * @deadline: ktime_get_ns() at which to stop waiting for others that take pages
 *
 * Sleeps. Nobody sees the move but by attestation: mappings, descriptors and
 * contents stay. Moves in one context are the caller's to serialize.
 *
 * Return: 0; EBUSY when the chunk must stay (it is pinned, mapped by a driver,
 * or somebody holds its pages) or the pages in the way must; ESTALE when the
 * chunk or the place is not free for it any more; ENOMEM, ETIMEDOUT, EINTR.
 */
int cm_move(struct cm_chunk *chunk, unsigned long to, u64 deadline)
{
	struct cm_context *ctx = chunk->ctx;
	struct cm_extent spare = { .owner = NULL };
	int ret;

	ret = reserve(chunk, to, &spare);
	if (ret)
		return ret;
	ret = take_pages(ctx, &spare, deadline);
	if (ret) {
		mutex_lock(&ctx->lock);
		cm_placement_remove(&ctx->map, &spare);
		mutex_unlock(&ctx->lock);
		return ret;
	}
	ret = down_write_killable(&chunk->lock);
	if (!ret) {
		ret = relocate(chunk, to, &spare);
		up_write(&chunk->lock);
	}
	cm_search_give(ctx, &spare);
	return ret;
}
