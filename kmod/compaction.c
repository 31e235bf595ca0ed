// SPDX-License-Identifier: GPL-2.0
/*
 * Compaction: moving chunks until a hole is large enough.
 *
 * A plan is made of what the map looks like at one instant, without any lock.
 * When the world has changed before it is carried out, another one is made.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "chunk.h"
#include "compaction.h"
#include "move.h"
#include "plan.h"
#include "search.h"
#include "trace.h"

/**
 * struct snapshot - the chunks of a context at one instant
 * @chunks: with a reference each, ordered by address
 * @plan:   its pieces are the chunks
 * @pieces: of @plan
 * @free:   page frames that are free
 * @hole:   page frames of the largest hole
 */
struct snapshot {
	struct cm_chunk **chunks;
	struct cm_plan plan;
	struct cm_piece *pieces;
	unsigned long free;
	unsigned long hole;
};

static void drop_snapshot(struct snapshot *snap)
{
	unsigned int i;

	for (i = 0; i < snap->plan.piece_count; i++)
		cm_chunk_put(snap->chunks[i]);
	kvfree(snap->chunks);
	kvfree(snap->pieces);
	kvfree(snap->plan.slots);
	kvfree(snap->plan.moves);
}

static int make_room(struct snapshot *snap, unsigned int count)
{
	*snap = (struct snapshot){ 0 };
	snap->chunks = kvmalloc_array(count, sizeof(*snap->chunks), GFP_KERNEL);
	snap->pieces = kvmalloc_array(count, sizeof(*snap->pieces), GFP_KERNEL);
	snap->plan.pieces = snap->pieces;
	snap->plan.slots = kvmalloc_array(cm_plan_slots(count),
					  sizeof(*snap->plan.slots), GFP_KERNEL);
	snap->plan.moves = kvmalloc_array(count, sizeof(*snap->plan.moves),
					  GFP_KERNEL);
	if (snap->chunks && snap->pieces && snap->plan.slots && snap->plan.moves)
		return 0;
	drop_snapshot(snap);
	return -ENOMEM;
}

static unsigned int count_chunks(struct cm_context *ctx)
{
	struct cm_extent *extent;
	unsigned int count = 0;

	mutex_lock(&ctx->lock);
	list_for_each_entry(extent, &ctx->map.extents, node)
		count++;
	mutex_unlock(&ctx->lock);
	return count;
}

/* A hint only: cm_move() looks again, with the chunk's lock. */
static bool looks_fixed(struct cm_chunk *chunk, const struct cm_compaction *c)
{
	return !READ_ONCE(chunk->dmabuf) || READ_ONCE(chunk->freed) ||
	       cm_chunk_is_fixed(chunk) || chunk->stuck == c->number;
}

/* Return: whether all chunks had room. */
static bool fill_snapshot(struct snapshot *snap, unsigned int room,
			  const struct cm_compaction *c)
{
	struct cm_context *ctx = c->ctx;
	struct cm_extent *extent;
	unsigned int i = 0;
	bool whole = true;

	mutex_lock(&ctx->lock);
	snap->plan.start = ctx->map.start;
	snap->plan.count = ctx->map.count;
	snap->free = ctx->map.count - ctx->map.used;
	snap->hole = cm_placement_largest_hole(&ctx->map);
	list_for_each_entry(extent, &ctx->map.extents, node) {
		struct cm_chunk *chunk = extent->owner;

		whole = i < room;
		if (!whole)
			break;
		kref_get(&chunk->ref);
		snap->chunks[i] = chunk;
		snap->pieces[i++] = (struct cm_piece){
			.start = extent->start,
			.count = extent->count,
			.align = chunk->align >> PAGE_SHIFT,
			.fixed = looks_fixed(chunk, c),
		};
	}
	snap->plan.piece_count = i;
	mutex_unlock(&ctx->lock);
	return whole;
}

static int take_snapshot(struct snapshot *snap, const struct cm_compaction *c)
{
	for (;;) {
		unsigned int room = count_chunks(c->ctx) + 1;
		int ret = make_room(snap, room);

		if (ret || fill_snapshot(snap, room, c))
			return ret;
		drop_snapshot(snap);
	}
}

static int check_time(const struct cm_compaction *c)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	return ktime_get_ns() < c->deadline ? 0 : -ETIMEDOUT;
}

/* The largest hole that a plan can make, by bisection. */
static int plan_largest(struct snapshot *snap, const struct cm_compaction *c)
{
	unsigned long possible = snap->hole, beyond = snap->free + 1;
	int ret;

	while (beyond - possible > 1) {
		unsigned long count = possible + (beyond - possible) / 2;

		ret = check_time(c);
		if (ret)
			return ret;
		if (cm_plan_make(&snap->plan, count, c->align, CM_PLAN_BUDGET))
			possible = count;
		else
			beyond = count;
		cond_resched();
	}
	if (possible == snap->hole) {
		snap->plan.move_count = 0;
		return 0;
	}
	return cm_plan_make(&snap->plan, possible, c->align, CM_PLAN_BUDGET) ?
		       0 : -ENOSPC;
}

static int make_plan(struct snapshot *snap, const struct cm_compaction *c)
{
	if (!c->count)
		return plan_largest(snap, c);
	return cm_plan_make(&snap->plan, c->count, c->align, CM_PLAN_BUDGET) ?
		       0 : -ENOSPC;
}

/* EAGAIN when the rest of the plan has become pointless. */
static int carry_out(struct snapshot *snap, struct cm_compaction *c)
{
	unsigned int i;
	int ret;

	for (i = 0; i < snap->plan.move_count; i++) {
		struct cm_move *move = &snap->plan.moves[i];
		struct cm_chunk *chunk = snap->chunks[move->piece];

		ret = check_time(c);
		if (!ret)
			ret = cm_move(chunk, move->to, c->deadline);
		trace_cm_move(chunk, move->to, ret);
		if (ret == -EBUSY) {
			chunk->stuck = c->number;
			c->stuck++;
		}
		if (ret == -EBUSY || ret == -ESTALE)
			return -EAGAIN;
		if (ret)
			return ret;
		c->moves++;
		c->moved += snap->pieces[move->piece].count;
	}
	return 0;
}

static int try_once(struct cm_compaction *c)
{
	struct snapshot snap;
	int ret;

	ret = take_snapshot(&snap, c);
	if (ret)
		return ret;
	ret = make_plan(&snap, c);
	if (!ret)
		ret = carry_out(&snap, c);
	drop_snapshot(&snap);
	return ret;
}

/**
 * cm_compact() - move chunks so that a hole is large enough
 * @c: the compaction
 *
 * Sleeps. Others may have taken the hole before the caller gets to it.
 *
 * Return: 0; ENOSPC when chunks that must stay leave no way; ETIMEDOUT, EINTR,
 * ENOMEM. Chunks that were moved by then stay where they are.
 */
int cm_compact(struct cm_compaction *c)
{
	int ret;

	ret = cm_turn_take(&c->ctx->compacting, c->deadline);
	if (ret)
		return ret;
	c->number = ++c->ctx->compactions;
	do {
		ret = check_time(c);
		if (!ret)
			ret = try_once(c);
	} while (ret == -EAGAIN);
	cm_turn_give(&c->ctx->compacting);
	trace_cm_compact(c->ctx, (u64)c->count << PAGE_SHIFT, c->moves,
			 c->moved << PAGE_SHIFT, ret);
	return ret;
}

/**
 * cm_compact_on_request() - make a large hole ahead of need
 * @ctx: the context
 * @req: the request; its output members are filled in
 *
 * Return: 0 or an error, as documented for &struct cm_compact.
 */
int cm_compact_on_request(struct cm_context *ctx, struct cm_compact *req)
{
	struct cm_alloc like = {
		.size = req->size ?: 1,
		.alignment = req->alignment,
		.deadline_ns = req->deadline_ns,
	};
	struct cm_compaction c = { .ctx = ctx };
	struct cm_search search;
	int ret;

	ret = cm_search_init(&search, ctx, &like);
	if (!ret) {
		c.count = req->size ? search.count : 0;
		c.align = search.align;
		c.deadline = search.deadline;
		ret = cm_compact(&c);
		search.blocked = c.stuck ? -EBUSY : 0;
	}
	req->moves = c.moves;
	req->moved_bytes = c.moved << PAGE_SHIFT;
	req->reason = cm_search_reason(&search, ret);
	mutex_lock(&ctx->lock);
	req->free = (u64)(ctx->map.count - ctx->map.used) << PAGE_SHIFT;
	req->largest_hole =
		(u64)cm_placement_largest_hole(&ctx->map) << PAGE_SHIFT;
	mutex_unlock(&ctx->lock);
	return cm_search_errno(req->reason);
}
