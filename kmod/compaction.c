// SPDX-License-Identifier: GPL-2.0
/*
 * Compaction: moving chunks until a hole is large enough.
 *
 * A plan is made of what the map looks like at one instant, without any lock.
 * When the world has changed before it is carried out, another one is made.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "chunk.h"
#include "compaction.h"
#include "deadline.h"
#include "move.h"
#include "plan.h"
#include "search.h"
#include "trace.h"

/* What may come up while room for a snapshot is made. */
#define SLACK		16
/* A chunk that is on its way to be one, or to be gone, is waited for. */
#define PASSING_WAIT_NS	(2 * NSEC_PER_MSEC)

/**
 * struct snapshot - what is taken of a context at one instant
 * @chunks:  by piece: the chunk, with a reference; NULL for an obstacle
 * @plan:    its pieces are chunks, and obstacles between them
 * @pieces:  of @plan
 * @room:    number of pieces that there is room for
 * @free:    page frames that no chunk has
 * @passing: a chunk is being made, or given back
 */
struct snapshot {
	struct cm_chunk **chunks;
	struct cm_plan plan;
	struct cm_piece *pieces;
	unsigned int room;
	unsigned long free;
	bool passing;
};

static void drop_snapshot(struct snapshot *snap)
{
	unsigned int i;

	for (i = 0; i < snap->plan.piece_count; i++)
		if (snap->chunks[i])
			cm_chunk_put(snap->chunks[i]);
	kvfree(snap->chunks);
	kvfree(snap->pieces);
	kvfree(snap->plan.slots);
	kvfree(snap->plan.moves);
}

static int make_room(struct snapshot *snap, unsigned int count)
{
	*snap = (struct snapshot){ .room = count };
	snap->chunks = kvmalloc_array(count, sizeof(*snap->chunks), GFP_KERNEL);
	snap->pieces = kvmalloc_array(count, sizeof(*snap->pieces), GFP_KERNEL);
	snap->plan.pieces = snap->pieces;
	snap->plan.slots = kvmalloc_array(cm_plan_slots(count),
					  sizeof(*snap->plan.slots), GFP_KERNEL);
	snap->plan.moves = kvmalloc_array(cm_plan_moves(count),
					  sizeof(*snap->plan.moves), GFP_KERNEL);
	if (snap->chunks && snap->pieces && snap->plan.slots && snap->plan.moves)
		return 0;
	drop_snapshot(snap);
	return -ENOMEM;
}

/* An obstacle is a piece in each hole that it reaches into. */
static unsigned int count_pieces(const struct cm_compaction *c)
{
	struct cm_context *ctx = c->ctx;
	struct cm_extent *extent;
	unsigned int count = 0;

	mutex_lock(&ctx->lock);
	list_for_each_entry(extent, &ctx->map.extents, node)
		count++;
	mutex_unlock(&ctx->lock);
	return c->obstacles->count ? 2 * count + c->obstacles->count : count;
}

/* A hint only: cm_move() looks again, with the chunk's lock. */
static bool looks_fixed(struct cm_chunk *chunk, const struct cm_compaction *c)
{
	return !READ_ONCE(chunk->dmabuf) || READ_ONCE(chunk->freed) ||
	       cm_chunk_is_fixed(chunk) || chunk->stuck == c->number;
}

/* Whether it will be a chunk that can be moved, or nothing, in a moment. */
static bool is_passing(struct cm_chunk *chunk)
{
	if (READ_ONCE(chunk->dmabuf) && !READ_ONCE(chunk->freed))
		return false;
	return chunk->extent.spare || list_empty(&chunk->drain);
}

static bool add_piece(struct snapshot *snap, struct cm_chunk *chunk,
		      const struct cm_piece *piece)
{
	unsigned int i = snap->plan.piece_count;

	if (i == snap->room)
		return false;
	snap->chunks[i] = chunk;
	snap->pieces[i] = *piece;
	snap->plan.piece_count++;
	return true;
}

static bool add_obstacles(struct snapshot *snap, unsigned long start,
			  unsigned long end, const struct cm_obstacles *obstacles)
{
	unsigned int i;

	for (i = 0; i < obstacles->count; i++) {
		unsigned long block = obstacles->start[i];
		unsigned long from = max(start, block);
		unsigned long to = min(end, block + pageblock_nr_pages);
		struct cm_piece piece = {
			.start = from,
			.count = to - from,
			.align = 1,
			.fixed = true,
		};

		if (from < to && !add_piece(snap, NULL, &piece))
			return false;
	}
	return true;
}

static bool add_chunk(struct snapshot *snap, struct cm_chunk *chunk,
		      const struct cm_compaction *c)
{
	struct cm_piece piece = {
		.start = chunk->extent.start,
		.count = chunk->extent.count,
		.align = chunk->align >> PAGE_SHIFT,
		.fixed = looks_fixed(chunk, c),
	};

	if (!add_piece(snap, chunk, &piece))
		return false;
	kref_get(&chunk->ref);
	snap->passing |= is_passing(chunk);
	return true;
}

/* Return: whether all had room. */
static bool fill_snapshot(struct snapshot *snap, const struct cm_compaction *c)
{
	struct cm_context *ctx = c->ctx;
	unsigned long behind = ctx->map.start;
	struct cm_extent *extent;
	bool whole = true;

	mutex_lock(&ctx->lock);
	snap->plan.start = ctx->map.start;
	snap->plan.count = ctx->map.count;
	snap->free = cm_placement_free(&ctx->map);
	list_for_each_entry(extent, &ctx->map.extents, node) {
		whole = add_obstacles(snap, behind, extent->start, c->obstacles) &&
			add_chunk(snap, extent->owner, c);
		if (!whole)
			break;
		behind = extent->start + extent->count;
	}
	whole = whole && add_obstacles(snap, behind, ctx->map.start +
				       ctx->map.count, c->obstacles);
	mutex_unlock(&ctx->lock);
	return whole;
}

static bool has_time(const void *asked)
{
	const struct cm_compaction *c = asked;

	cond_resched();
	return !cm_deadline_check(c->deadline);
}

static int take_snapshot(struct snapshot *snap, const struct cm_compaction *c)
{
	for (;;) {
		int ret = make_room(snap, count_pieces(c) + SLACK);

		snap->plan.go_on = has_time;
		snap->plan.asked = c;
		if (ret || fill_snapshot(snap, c))
			return ret;
		drop_snapshot(snap);
		ret = cm_deadline_check(c->deadline);
		if (ret)
			return ret;
	}
}

/* The cheapest plan, or any where moving each chunk once does not suffice. */
static int plan_hole(struct snapshot *snap, const struct cm_compaction *c,
		     unsigned long count)
{
	struct cm_plan *plan = &snap->plan;

	if (cm_plan_make(plan, count, c->align, CM_PLAN_BUDGET))
		return 0;
	if (!plan->ended && cm_plan_pack(plan, count, c->align, CM_PLAN_BUDGET))
		return 0;
	return plan->ended ? cm_deadline_check(c->deadline) : -ENOSPC;
}

/* The largest hole that a plan can make, by bisection. */
static int plan_largest(struct snapshot *snap, const struct cm_compaction *c)
{
	unsigned long possible = 0, beyond = snap->free + 1;

	while (beyond - possible > 1) {
		unsigned long count = possible + (beyond - possible) / 2;
		int ret = plan_hole(snap, c, count);

		if (ret && ret != -ENOSPC)
			return ret;
		if (ret)
			beyond = count;
		else
			possible = count;
	}
	snap->plan.move_count = 0;
	return possible ? plan_hole(snap, c, possible) : 0;
}

static int make_plan(struct snapshot *snap, const struct cm_compaction *c)
{
	return c->count ? plan_hole(snap, c, c->count) : plan_largest(snap, c);
}

static int carry_out_one(struct cm_compaction *c, struct cm_chunk *chunk,
			 unsigned long to)
{
	unsigned long count = chunk->extent.count;
	int ret = cm_move(chunk, to, c->deadline, c->obstacles);

	trace_cm_move(chunk, to, ret);
	if (!ret) {
		c->moves++;
		c->moved += count;
	} else if (ret == -EBUSY) {
		chunk->stuck = c->number;
		c->obstacles->error = ret;
	}
	return ret == -EBUSY || ret == -ESTALE ? -EAGAIN : ret;
}

/* EAGAIN when the rest of the plan has become pointless. */
static int carry_out(struct snapshot *snap, struct cm_compaction *c)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < snap->plan.move_count && !ret; i++) {
		struct cm_move *move = &snap->plan.moves[i];

		ret = cm_deadline_check(c->deadline);
		if (!ret)
			ret = carry_out_one(c, snap->chunks[move->piece],
					    move->to);
	}
	return ret;
}

static int try_once(struct cm_compaction *c)
{
	struct snapshot snap;
	int ret;

	ret = take_snapshot(&snap, c);
	if (ret)
		return ret;
	c->full = snap.free < c->count;
	ret = c->full ? -ENOSPC : make_plan(&snap, c);
	if (!ret)
		ret = carry_out(&snap, c);
	else if (ret == -ENOSPC && snap.passing && !c->full)
		ret = -EINPROGRESS;
	c->place = snap.plan.place;
	drop_snapshot(&snap);
	return ret;
}

/* EAGAIN when another plan is worth a try. */
static int try_again(struct cm_compaction *c, int ret)
{
	if (ret != -EAGAIN && ret != -EINPROGRESS)
		return ret;
	if (c->obstacles->full)
		return -ENOSPC;
	if (ret == -EINPROGRESS)
		cm_deadline_sleep(c->deadline, PASSING_WAIT_NS);
	return cm_deadline_check(c->deadline) ?: -EAGAIN;
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
		ret = try_again(c, try_once(c));
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
	struct cm_search search;
	struct cm_compaction c = {
		.ctx = ctx,
		.obstacles = &search.obstacles,
	};
	int ret;

	ret = cm_search_init(&search, ctx, &like);
	if (!ret) {
		c.count = req->size ? search.count : 0;
		c.align = search.align;
		c.deadline = search.deadline;
		ret = cm_compact(&c);
		search.full = c.full;
	}
	req->moves = c.moves;
	req->moved_bytes = c.moved << PAGE_SHIFT;
	req->reason = cm_search_reason(&search, ret);
	mutex_lock(&ctx->lock);
	cm_context_room(ctx, &req->free, &req->largest_hole);
	mutex_unlock(&ctx->lock);
	return cm_search_errno(req->reason);
}
