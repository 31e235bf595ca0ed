// SPDX-License-Identifier: GPL-2.0
/*
 * Move: taking a chunk to another place, with its mappings.
 *
 * The granules of the new place are taken first, while nothing is locked that a
 * free, a query or a page fault needs. Then the chunk is locked, every page
 * table entry of it is removed, its bytes are copied, and the next access
 * to a mapping faults the new pages in.
 */
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/mm.h>

#include "chunk.h"
#include "deadline.h"
#include "dmabuf.h"
#include "mapping.h"
#include "move.h"

/*
 * A chunk is not waited for by getting in line for its lock: those who come to
 * use it would wait behind, and one of them may hold it for as long as it is
 * kept from running. A page held for a moment (by a system call that copies) is
 * let go by the last of the other tries.
 */
#define MOVE_LOCK_TRIES	20
#define MOVE_HELD_TRIES	5
#define MOVE_WAIT_US	200

/*
 * Reserve what a chunk lacks of its new place: all of it, or what is left of
 * it on one side when the chunk slides over its own pages.
 */
static int move_reserve(struct cm_chunk *chunk, unsigned long to,
			struct cm_extent *rest)
{
	struct cm_context *ctx = chunk->ctx;
	const struct cm_extent *from = &chunk->extent;
	unsigned long start = to, count = from->count;
	struct cm_place place;
	int ret = -ESTALE;

	cm_context_lock(ctx);
	/* A plan may be old: another request may have moved the chunk there. */
	if (cm_chunk_has_memory(chunk) && to != from->start) {
		if (to > from->start)
			start = max(to, from->start + count);
		else
			count = min(count, from->start - to);
		count = min(count, to + from->count - start);
		if (cm_placement_at(&ctx->pool.map, start, count, &place)) {
			cm_placement_insert(&ctx->pool.map, rest, &place, count);
			ret = 0;
		}
	}
	cm_context_unlock(ctx);
	return ret;
}

static void move_unreserve(struct cm_context *ctx, struct cm_extent *rest)
{
	cm_context_lock(ctx);
	cm_pool_remove(&ctx->pool, rest);
	cm_context_unlock(ctx);
}

static int move_lock(struct cm_chunk *chunk)
{
	int tries = MOVE_LOCK_TRIES;

	while (!down_write_trylock(&chunk->lock)) {
		/* The caller who allocates it clears it still, which ends. */
		if (!--tries)
			return READ_ONCE(chunk->dmabuf) ? -EBUSY : -EAGAIN;
		usleep_range(MOVE_WAIT_US, 2 * MOVE_WAIT_US);
	}
	return 0;
}

/*
 * Remove all mappings of a chunk, and see whether anybody still holds a page.
 * Nobody gets hold of one after that: faults wait for the chunk's lock, and
 * who walks page tables without one looks again after taking a reference.
 */
static int move_isolate(struct cm_chunk *chunk)
{
	int tries = MOVE_HELD_TRIES;

	if (chunk->freed || !cm_chunk_has_memory(chunk))
		return -ESTALE;
	if (cm_chunk_is_fixed(chunk) || cm_dmabuf_is_in_use(chunk))
		return -EBUSY;
	cm_mapping_remove(chunk);

	while (cm_chunk_first_held(chunk, 0) < chunk->extent.count) {
		if (!--tries)
			return -EBUSY;
		usleep_range(MOVE_WAIT_US, 2 * MOVE_WAIT_US);
	}
	return 0;
}

static void move_copy_page(unsigned long to, unsigned long from)
{
	copy_highpage(pfn_to_page(to), pfn_to_page(from));
	cond_resched();
}

/*
 * Like memmove(): a chunk may slide over its own pages. It is not given up when
 * time is over: its users would have waited for nothing, again and again.
 */
static void move_copy(const struct cm_chunk *chunk, unsigned long to)
{
	unsigned long from = chunk->extent.start, count = chunk->extent.count;
	unsigned long i;

	if (to < from)
		for (i = 0; i < count; i++)
			move_copy_page(to + i, from + i);
	else
		for (i = count; i-- > 0;)
			move_copy_page(to + i, from + i);
}

/* @rest becomes what the chunk leaves behind, and nobody has. */
static void move_exchange(struct cm_chunk *chunk, unsigned long to,
			  struct cm_extent *rest)
{
	struct cm_context *ctx = chunk->ctx;
	struct cm_extent *extent = &chunk->extent;
	unsigned long from = extent->start, count = extent->count;
	unsigned long left = rest->count;
	u64 now = ktime_get_ns();
	struct cm_place place;

	cm_context_lock(ctx);
	cm_placement_remove(&ctx->pool.map, extent, now);
	cm_placement_remove(&ctx->pool.map, rest, now);
	cm_placement_at(&ctx->pool.map, to, count, &place);
	cm_placement_insert(&ctx->pool.map, extent, &place, count);
	cm_placement_at(&ctx->pool.map, to < from ? from + count - left : from, left,
			&place);
	cm_placement_insert(&ctx->pool.map, rest, &place, left);
	cm_bank_note_written(&ctx->pool.bank, rest->start, left);
	if (!chunk->dmabuf)
		cm_bank_note_written(&ctx->pool.bank, to, count);
	ctx->stats.moves++;
	ctx->stats.moved_bytes += (u64)count << PAGE_SHIFT;
	cm_context_unlock(ctx);
}

/* What is copied there must stay. */
static void move_keep(struct cm_chunk *chunk, unsigned long to)
{
	struct cm_context *ctx = chunk->ctx;

	cm_context_lock(ctx);
	cm_bank_note_zero(&ctx->pool.bank, to, chunk->extent.count);
	cm_context_unlock(ctx);
}

static int move_relocate(struct cm_chunk *chunk, unsigned long to,
			 struct cm_extent *rest)
{
	int ret = move_isolate(chunk);

	if (ret)
		return ret;
	move_keep(chunk, to);
	move_copy(chunk, to);
	move_exchange(chunk, to, rest);
	return 0;
}

/**
 * cm_move() - take a chunk to another place of its context
 * @chunk:    the chunk, with a reference of the caller's
 * @to:       first page frame number of the place, aligned as the chunk needs;
 *            it may overlap where the chunk is
 * @deadline: when to give up
 *
 * For &cm_context.queue only. Sleeps. Mappings, descriptors and contents stay;
 * who uses the memory meanwhile waits for the copy of the chunk, which is made
 * whole, whatever the deadline.
 *
 * Return: 0; EBUSY when the chunk must stay: it is pinned, mapped by a driver
 * or too often by user space, a device has not finished with it, or somebody
 * holds its pages; EAGAIN when the system would not leave the place, or the
 * chunk is being cleared; ESTALE when the chunk was freed, or the place is not
 * free any more; ETIMEDOUT.
 */
int cm_move(struct cm_chunk *chunk, unsigned long to,
	    const struct cm_deadline *deadline)
{
	struct cm_context *ctx = chunk->ctx;
	struct cm_extent rest = { .owner = chunk, .reserved = true };
	int ret;

	ret = move_reserve(chunk, to, &rest);
	if (ret)
		return ret;
	ret = cm_pool_take(&ctx->pool, rest.start, rest.count, deadline);
	if (cm_pool_is_stuck(ret))
		ret = -EAGAIN;
	if (!ret)
		ret = cm_deadline_is_over(deadline) ? -ETIMEDOUT :
						      move_lock(chunk);
	if (!ret) {
		ret = move_relocate(chunk, to, &rest);
		up_write(&chunk->lock);
	}
	move_unreserve(ctx, &rest);
	return ret;
}
