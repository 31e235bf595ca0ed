// SPDX-License-Identifier: GPL-2.0
/*
 * Alloc: from a request to a dma-buf.
 *
 * Where a granule that is taken has room, the caller finds it. Everything else
 * is done on the context's queue: taking granules, and moving chunks where that
 * does not suffice. The memory is cleared by the caller.
 */
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "alloc.h"
#include "chunk.h"
#include "compaction.h"
#include "deadline.h"
#include "dmabuf.h"
#include "owner.h"
#include "quota.h"
#include "request.h"
#include "stats.h"
#include "trace.h"

/* Page frames that are cleared before others may lock the chunk. */
#define ALLOC_CLEAR_PAGES	(SZ_1M >> PAGE_SHIFT)
/* Plans that come to nothing before others on the queue have their turn. */
#define ALLOC_PLANS		4

/**
 * struct alloc_request - an allocation on its way
 * @request:    the request
 * @chunk:      what is to have memory, with a reference
 * @compaction: for a hole, if that is needed
 */
struct alloc_request {
	struct cm_request request;
	struct cm_chunk *chunk;
	struct cm_compaction compaction;
};

/* Return: whether a place was found: at @start, or the best one if that is 0. */
static bool alloc_occupy(struct cm_chunk *chunk, const struct cm_demand *demand,
			 bool taken, unsigned long start)
{
	struct cm_placement *map = &demand->ctx->pool.map;
	const struct cm_want want = {
		.count = demand->count,
		.align = demand->align,
		.horizon = demand->horizon,
		.taken = taken,
	};
	struct cm_place place;
	bool found;

	cm_context_lock(demand->ctx);
	found = start ? cm_placement_at(map, start, demand->count, &place) :
			cm_placement_find(map, &want, &place);
	if (found)
		cm_placement_insert(map, &chunk->extent, &place, demand->count);
	cm_context_unlock(demand->ctx);
	return found;
}

/* EAGAIN when the system would not leave the place. */
static int alloc_take(struct cm_chunk *chunk, struct cm_demand *demand)
{
	struct cm_context *ctx = demand->ctx;
	int ret = cm_pool_take(&ctx->pool, chunk->extent.start, demand->count,
			       &demand->deadline);

	if (!ret)
		return 0;
	cm_context_lock(ctx);
	cm_pool_remove(&ctx->pool, &chunk->extent);
	cm_context_unlock(ctx);
	if (!cm_pool_is_stuck(ret))
		return ret;
	demand->busy = ret;
	demand->retries++;
	return -EAGAIN;
}

static bool alloc_is_full(const struct cm_demand *demand)
{
	struct cm_context *ctx = demand->ctx;
	bool full;

	cm_context_lock(ctx);
	full = cm_placement_free(&ctx->pool.map) < demand->count;
	cm_context_unlock(ctx);
	return full;
}

/* EAGAIN, too, when others change the map again and again. */
static int alloc_compact(struct alloc_request *r)
{
	struct cm_demand *demand = &r->request.demand;
	struct cm_pool *pool = &demand->ctx->pool;
	struct cm_compaction *c = &r->compaction;
	unsigned int plans = 0;
	int ret;

	c->demand = demand;
	c->moves = 0;
	c->moved = 0;
	do {
		ret = -ETIMEDOUT;
		plans += !c->planned;
		if (!cm_deadline_is_over(&demand->deadline))
			ret = cm_compaction_step(c);
		/* Or small allocations would take what is made free for it. */
		if (c->planned)
			cm_pool_keep(pool, c->place, demand->count);
	} while (ret == -EAGAIN && (c->planned || plans < ALLOC_PLANS));
	if (!ret && !alloc_occupy(r->chunk, demand, false, c->place))
		ret = -EAGAIN;
	cm_pool_keep(pool, 0, 0);
	cm_compaction_end(c, ret);
	if (!ret)
		ret = alloc_take(r->chunk, demand);
	return ret;
}

/*
 * A place at a time: others need not wait until all are tried. Each round knows
 * one more granule that is stuck.
 */
static int alloc_step(struct cm_request *request)
{
	struct alloc_request *r = container_of(request, struct alloc_request,
					       request);
	struct cm_demand *demand = &request->demand;
	int ret;

	cm_chunk_drain(demand->ctx);
	if (alloc_occupy(r->chunk, demand, false, 0))
		return alloc_take(r->chunk, demand);
	demand->full = alloc_is_full(demand);
	if (demand->full)
		return -ENOSPC;
	ret = alloc_compact(r);
	if (ret != -ENOSPC || demand->full || demand->horizon == demand->begin)
		return ret;
	/* What was stuck before the request came is tried once before it fails. */
	demand->horizon = demand->begin;
	r->compaction.number = 0;
	return -EAGAIN;
}

static void alloc_end(struct cm_request *request, bool undo)
{
	struct alloc_request *r = container_of(request, struct alloc_request,
					       request);

	if (undo)
		cm_chunk_discard(r->chunk);
}

static void alloc_release(struct cm_request *request)
{
	struct alloc_request *r = container_of(request, struct alloc_request,
					       request);

	cm_chunk_put(r->chunk);
	kfree(r);
}

static const struct cm_request_ops alloc_ops = {
	.step = alloc_step,
	.end = alloc_end,
	.release = alloc_release,
};

static int alloc_on_queue(struct cm_chunk *chunk, struct cm_demand *demand)
{
	struct alloc_request *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!r)
		return -ENOMEM;
	cm_request_init(&r->request, &alloc_ops, demand);
	cm_chunk_get(chunk);
	r->chunk = chunk;
	ret = cm_request_run(&r->request);
	demand->retries = READ_ONCE(r->request.demand.retries);
	demand->busy = READ_ONCE(r->request.demand.busy);
	demand->full = READ_ONCE(r->request.demand.full);
	cm_request_put(&r->request);
	return ret;
}

/*
 * Clear some of the pages from index *@next on, and set it to the one to go on
 * with.
 */
static void alloc_clear_some(struct cm_chunk *chunk, unsigned long *next,
			     struct cm_demand *demand)
{
	struct cm_context *ctx = chunk->ctx;
	unsigned long start = chunk->extent.start;
	unsigned long end = start + chunk->extent.count;
	unsigned long from, count = ALLOC_CLEAR_PAGES;

	cm_context_lock(ctx);
	from = cm_bank_next_written(&ctx->pool.bank, start + *next, end, &count);
	cm_context_unlock(ctx);
	cm_bank_clear(from, count);
	demand->cleared += count;
	*next = from + count - start;
	/* Should it fail, what was cleared need not be cleared again. */
	cm_context_lock(ctx);
	cm_bank_note_zero(&ctx->pool.bank, from, count);
	cm_context_unlock(ctx);
}

/*
 * Others may move the chunk in between: its new place counts as written, so that
 * what is left is cleared there.
 */
static int alloc_clear(struct cm_chunk *chunk, struct cm_demand *demand)
{
	unsigned long next = 0;

	while (next < chunk->extent.count) {
		down_read(&chunk->lock);
		alloc_clear_some(chunk, &next, demand);
		up_read(&chunk->lock);
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
		if (cm_deadline_is_over(&demand->deadline))
			return -ETIMEDOUT;
	}
	return 0;
}

static int alloc_finish(struct cm_chunk *chunk, struct cm_demand *demand)
{
	int ret = alloc_clear(chunk, demand);

	if (!ret)
		ret = cm_dmabuf_export(chunk, demand->access);
	if (ret)
		cm_chunk_abandon(chunk);
	return ret;
}

static int alloc_fill(struct cm_chunk *chunk, struct cm_demand *demand)
{
	int ret = 0;

	if (!alloc_occupy(chunk, demand, true, 0))
		ret = alloc_on_queue(chunk, demand);
	return ret ?: alloc_finish(chunk, demand);
}

static struct cm_chunk *alloc_chunk(struct cm_demand *demand,
				    const struct cm_owner *owner,
				    struct cm_usage *usage)
{
	struct cm_chunk *chunk = cm_chunk_new(demand->ctx, owner, demand->align);
	int ret;

	if (!chunk)
		return ERR_PTR(-ENOMEM);
	ret = cm_quota_charge(&demand->ctx->quotas, owner->account,
			      demand->count, owner->exceeds, usage);
	if (ret) {
		cm_chunk_put(chunk);
		return ERR_PTR(ret);
	}
	chunk->charged = demand->count;
	return chunk;
}

static int alloc_run(struct cm_demand *demand, const struct cm_owner *owner,
		     struct cm_usage *usage, struct cm_chunk **result)
{
	struct cm_chunk *chunk = alloc_chunk(demand, owner, usage);
	int ret;

	if (IS_ERR(chunk))
		return PTR_ERR(chunk);
	ret = alloc_fill(chunk, demand);
	if (ret)
		cm_chunk_put(chunk);
	else
		*result = chunk;
	return ret;
}

static void alloc_report(const struct cm_demand *demand,
			 const struct cm_usage *usage, struct cm_alloc *req,
			 u64 ns)
{
	struct cm_context *ctx = demand->ctx;

	cm_context_lock(ctx);
	if (req->reason)
		cm_stats_failure(&ctx->stats, req->reason, demand->retries);
	else
		cm_stats_success(&ctx->stats, req->size, ns, demand->retries);
	cm_context_space(ctx, &req->free, &req->largest_hole);
	cm_context_unlock(ctx);
	req->retries = demand->retries;
	req->quota = usage->limits.bytes;
	req->used = usage->limits.bytes == CM_QUOTA_NONE ? 0 : usage->bytes;
	req->max_chunks = min(usage->limits.chunks, cm_quota_max_chunks());
	req->chunks = usage->chunks;
}

/**
 * cm_alloc() - allocate zeroed, contiguous memory
 * @ctx:    the context
 * @owner:  whose it will be
 * @req:    the request; its output members but @fd are filled in
 * @access: access mode of the dma-buf's file: O_RDWR, O_RDONLY, ...
 *
 * Sleeps.
 *
 * Return: the chunk's dma-buf, the caller's, with the only reference; or an
 * ERR_PTR() as documented for &struct cm_alloc.
 */
struct dma_buf *cm_alloc(struct cm_context *ctx, const struct cm_owner *owner,
			 struct cm_alloc *req, int access)
{
	struct cm_chunk *chunk = NULL;
	struct cm_demand demand;
	struct cm_usage usage;
	u64 ns;
	int ret;

	cm_quota_read(&ctx->quotas, owner->account, &usage);
	ret = cm_demand_init(&demand, ctx, req->size, req->alignment,
			     req->deadline_ns);
	demand.access = access;
	if (!ret)
		ret = alloc_run(&demand, owner, &usage, &chunk);
	req->reason = cm_demand_reason(&demand, ret);
	if (!ret) {
		req->size = (u64)demand.count << PAGE_SHIFT;
		req->alignment = (u64)demand.align << PAGE_SHIFT;
		req->id = chunk->id;
	}
	ns = ktime_get_ns() - demand.begin;
	alloc_report(&demand, &usage, req, ns);
	trace_cm_alloc(dev_name(&ctx->dev), req,
		       (u64)demand.cleared << PAGE_SHIFT, ns);
	if (!ret)
		return chunk->dmabuf;
	/* Memory for a file is short, or the table of open files is full. */
	return ERR_PTR(ret == -ENFILE ? ret : cm_demand_errno(req->reason));
}

/**
 * cm_alloc_refuse() - count and report a request that never came to cm_alloc()
 * @ctx: the context
 * @req: the request; @free, @largest_hole and @reason are filled in
 */
void cm_alloc_refuse(struct cm_context *ctx, struct cm_alloc *req)
{
	req->reason = CM_REASON_INVALID;
	cm_context_lock(ctx);
	cm_stats_failure(&ctx->stats, req->reason, 0);
	cm_context_space(ctx, &req->free, &req->largest_hole);
	cm_context_unlock(ctx);
	trace_cm_alloc(dev_name(&ctx->dev), req, 0, 0);
}
