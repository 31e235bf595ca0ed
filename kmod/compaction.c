// SPDX-License-Identifier: GPL-2.0
/*
 * Compaction: moving chunks until a hole is large enough.
 *
 * A plan is made of what the map looks like at one instant, without any lock.
 * When the world has changed before it is carried out, another one is made.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "chunk.h"
#include "compaction.h"
#include "move.h"
#include "trace.h"

/* Chunks that may come while memory for a snapshot is allocated. */
#define COMPACTION_SLACK	16

static void compaction_drop_plan(struct cm_compaction *c)
{
	unsigned int i;

	for (i = 0; c->chunks && i < c->plan.piece_count; i++)
		if (c->chunks[i])
			cm_chunk_put(c->chunks[i]);
	kvfree(c->chunks);
	kvfree(c->pieces);
	kvfree(c->plan.scratch);
	kvfree(c->plan.moves);
	c->plan = (struct cm_plan){ 0 };
	c->pieces = NULL;
	c->chunks = NULL;
	c->planned = false;
}

static int compaction_allocate(struct cm_compaction *c, unsigned int count)
{
	c->chunks = kvcalloc(count, sizeof(*c->chunks), GFP_KERNEL);
	c->pieces = kvmalloc_array(count, sizeof(*c->pieces), GFP_KERNEL);
	c->plan.scratch = kvmalloc_array(count, sizeof(*c->plan.scratch),
					 GFP_KERNEL);
	c->plan.moves = kvmalloc_array(count, sizeof(*c->plan.moves),
				       GFP_KERNEL);
	c->plan.pieces = c->pieces;
	if (c->chunks && c->pieces && c->plan.scratch && c->plan.moves)
		return 0;
	compaction_drop_plan(c);
	return -ENOMEM;
}

/* A stuck granule is a piece in each hole that it reaches into. */
static unsigned int compaction_count_pieces(struct cm_context *ctx)
{
	unsigned int count;

	cm_context_lock(ctx);
	count = 2 * ctx->pool.map.extent_count + ctx->pool.bank.granule_count;
	cm_context_unlock(ctx);
	return count + COMPACTION_SLACK;
}

static void compaction_add(struct cm_compaction *c, struct cm_chunk *chunk,
			   const struct cm_piece *piece)
{
	c->chunks[c->plan.piece_count] = chunk;
	c->pieces[c->plan.piece_count++] = *piece;
}

/* The parts of a hole whose granules are better avoided. */
static bool compaction_add_stuck(struct cm_compaction *c, unsigned int capacity,
				 unsigned long from, unsigned long end)
{
	const struct cm_bank *bank = &c->demand->ctx->pool.bank;

	while (from != end) {
		unsigned long behind = min(end, cm_bank_granule_end(bank, from));
		struct cm_piece piece = {
			.start = from,
			.count = behind - from,
			.align = 1,
			.fixed = true,
		};

		if (cm_granule_is_stuck(cm_bank_granule(bank, from),
					c->demand->horizon)) {
			if (c->plan.piece_count == capacity)
				return false;
			compaction_add(c, NULL, &piece);
		}
		from = behind;
	}
	return true;
}

/* A hint only: cm_move() looks again, with the chunk's lock. */
static bool compaction_add_chunk(struct cm_compaction *c, unsigned int capacity,
				 struct cm_chunk *chunk)
{
	struct cm_piece piece = {
		.start = chunk->extent.start,
		.count = chunk->extent.count,
		.align = chunk->align,
		.fixed = chunk->freed || cm_chunk_is_fixed(chunk) ||
			 !list_empty(&chunk->drain) ||
			 chunk->stuck >= c->number,
	};

	if (c->plan.piece_count == capacity)
		return false;
	cm_chunk_get(chunk);
	compaction_add(c, chunk, &piece);
	return true;
}

/* Return: whether there was room for all. */
static bool compaction_fill(struct cm_compaction *c, unsigned int capacity)
{
	struct cm_context *ctx = c->demand->ctx;
	unsigned long behind, end;
	struct cm_extent *extent;
	bool whole = true;

	cm_context_lock(ctx);
	c->plan.start = ctx->pool.map.start;
	c->plan.count = ctx->pool.map.count;
	c->demand->full = cm_placement_free(&ctx->pool.map) < c->demand->count;
	behind = ctx->pool.map.start;
	end = ctx->pool.map.start + ctx->pool.map.count;
	list_for_each_entry(extent, &ctx->pool.map.extents, node) {
		whole = compaction_add_stuck(c, capacity, behind, extent->start) &&
			compaction_add_chunk(c, capacity, extent->owner);
		if (!whole)
			break;
		behind = extent->start + extent->count;
	}
	whole = whole && compaction_add_stuck(c, capacity, behind, end);
	cm_context_unlock(ctx);
	return whole;
}

static int compaction_snapshot(struct cm_compaction *c)
{
	unsigned int capacity = compaction_count_pieces(c->demand->ctx);
	int ret = compaction_allocate(c, capacity);

	if (ret)
		return ret;
	if (compaction_fill(c, capacity))
		return 0;
	compaction_drop_plan(c);
	return -EAGAIN;
}

static int compaction_plan(struct cm_compaction *c)
{
	const struct cm_demand *demand = c->demand;
	bool found;
	int ret;

	ret = compaction_snapshot(c);
	if (ret)
		return ret;
	if (demand->full)
		return -ENOSPC;
	found = demand->count ?
		cm_plan_make(&c->plan, demand->count, demand->align) :
		cm_plan_largest(&c->plan, demand->align);
	if (!found && demand->count)
		return -ENOSPC;
	c->planned = true;
	c->next = 0;
	c->place = c->plan.place;
	return 0;
}

/* EAGAIN when the rest of the plan has become pointless. */
static int compaction_move(struct cm_compaction *c)
{
	const struct cm_move *move = &c->plan.moves[c->next++];
	struct cm_chunk *chunk = c->chunks[move->piece];
	struct cm_context *ctx = chunk->ctx;
	int ret = cm_move(chunk, move->to, &c->demand->deadline);

	trace_cm_move(dev_name(&ctx->dev), chunk->id, cm_chunk_size(chunk),
		      (u64)(move->to - ctx->pool.map.start) << PAGE_SHIFT, ret);
	if (!ret) {
		c->moves++;
		c->moved += cm_chunk_size(chunk) >> PAGE_SHIFT;
		return 0;
	}
	if (ret == -EBUSY) {
		chunk->stuck = ctx->compactions;
		c->demand->busy = ret;
	}
	compaction_drop_plan(c);
	return ret == -ETIMEDOUT ? ret : -EAGAIN;
}

/**
 * cm_compaction_step() - make a plan, or carry out its next move
 * @c: the compaction, of which at first only @demand is set
 *
 * For &cm_context.queue only. Sleeps.
 *
 * Return: 0 when there is a hole: others may take it before the caller gets to
 * it; EAGAIN when there is more to do; ENOSPC when chunks that must stay leave
 * no way; ETIMEDOUT, ENOMEM. Chunks that were moved by then stay where they
 * are.
 */
int cm_compaction_step(struct cm_compaction *c)
{
	int ret;

	if (!c->number)
		c->number = ++c->demand->ctx->compactions;
	ret = c->planned ? compaction_move(c) : compaction_plan(c);
	if (!ret && c->next < c->plan.move_count)
		return -EAGAIN;
	return ret;
}

/**
 * cm_compaction_end() - free what a compaction uses
 * @c:     the compaction
 * @error: how it ended
 */
void cm_compaction_end(struct cm_compaction *c, int error)
{
	compaction_drop_plan(c);
	trace_cm_compact(dev_name(&c->demand->ctx->dev),
			 (u64)c->demand->count << PAGE_SHIFT, c->moves,
			 (u64)c->moved << PAGE_SHIFT, error);
}

/**
 * struct compaction_request - CM_IOC_COMPACT on its way
 * @request:    the request
 * @compaction: the compaction
 */
struct compaction_request {
	struct cm_request request;
	struct cm_compaction compaction;
};

static struct compaction_request *compaction_of(struct cm_request *request)
{
	return container_of(request, struct compaction_request, request);
}

/*
 * One move at a time, so that allocations need not wait for all of them. One
 * request at a time has a plan: these take memory, and would undo each other.
 */
static int compaction_request_step(struct cm_request *request)
{
	struct cm_compaction *c = &compaction_of(request)->compaction;
	struct cm_context *ctx = request->demand.ctx;
	int ret;

	if (cmpxchg(&ctx->compacting, NULL, request) &&
	    READ_ONCE(ctx->compacting) != request)
		return -EINPROGRESS;
	ret = cm_compaction_step(c);
	if (!c->planned)
		WRITE_ONCE(ctx->compacting, NULL);
	return ret;
}

static void compaction_request_end(struct cm_request *request, bool undo)
{
	cm_compaction_end(&compaction_of(request)->compaction, request->error);
	cmpxchg(&request->demand.ctx->compacting, request, NULL);
}

static void compaction_request_release(struct cm_request *request)
{
	struct cm_context *ctx = request->demand.ctx;

	kfree(compaction_of(request));
	put_device(&ctx->dev);
}

static const struct cm_request_ops compaction_request_ops = {
	.step = compaction_request_step,
	.end = compaction_request_end,
	.release = compaction_request_release,
};

static int compaction_run(struct cm_demand *demand, struct cm_compact *req)
{
	struct compaction_request *r = kzalloc(sizeof(*r),
					       GFP_KERNEL_ACCOUNT);
	int ret;

	if (!r)
		return -ENOMEM;
	cm_request_init(&r->request, &compaction_request_ops, demand);
	r->compaction.demand = &r->request.demand;
	get_device(&demand->ctx->dev);
	ret = cm_request_run(&r->request);
	req->moves = READ_ONCE(r->compaction.moves);
	req->moved_bytes = (u64)READ_ONCE(r->compaction.moved) << PAGE_SHIFT;
	demand->full = READ_ONCE(r->request.demand.full);
	demand->busy = READ_ONCE(r->request.demand.busy);
	cm_request_put(&r->request);
	return ret;
}

/**
 * cm_compact() - make a large hole ahead of need
 * @ctx: the context
 * @req: the request; its output members are filled in
 *
 * Return: 0 or an error, as documented for &struct cm_compact.
 */
int cm_compact(struct cm_context *ctx, struct cm_compact *req)
{
	struct cm_demand demand;
	int ret = cm_demand_init(&demand, ctx, req->size ?: 1, req->alignment,
				 req->deadline_ns);

	if (!req->size)
		demand.count = 0;
	if (!ret)
		ret = compaction_run(&demand, req);
	req->reason = cm_demand_reason(&demand, ret);
	cm_context_lock(ctx);
	cm_context_space(ctx, &req->free, &req->largest_hole);
	cm_context_unlock(ctx);
	return cm_demand_errno(req->reason);
}
