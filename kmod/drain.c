// SPDX-License-Identifier: GPL-2.0
/*
 * Drain: giving memory back once nobody holds a page of it any more.
 */
#include <linux/mm.h>
#include <linux/module.h>

#include "drain.h"
#include "search.h"

#define DRAIN_INTERVAL		msecs_to_jiffies(20)

/*
 * Somebody else may hold references on pages: an O_DIRECT transfer that is
 * under way outlives both the mapping and the descriptor.
 */
static bool is_in_use(struct cm_chunk *chunk)
{
	const struct cm_extent *extent = &chunk->extent;

	/* A page that was let go stays so: nobody can get at it any more. */
	for (; chunk->drained < extent->count; chunk->drained++)
		if (page_count(pfn_to_page(extent->start + chunk->drained)) > 1)
			return true;
	return false;
}

static void retire(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	cm_search_give(ctx, &chunk->extent);
	mutex_lock(&ctx->lock);
	ctx->stats.frees++;
	mutex_unlock(&ctx->lock);
	cm_chunk_put(chunk);
}

static void drain_later(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	/* The work ends before the module goes: see cm_drain_work(). */
	__module_get(THIS_MODULE);
	mutex_lock(&ctx->lock);
	list_add(&chunk->drain, &ctx->drains);
	ctx->draining += chunk->extent.count;
	mutex_unlock(&ctx->lock);
	schedule_delayed_work(&ctx->drain_work, DRAIN_INTERVAL);
}

/**
 * cm_drain_work() - retire freed chunks whose last page was let go
 * @work: &cm_context.drain_work
 */
void cm_drain_work(struct work_struct *work)
{
	struct cm_context *ctx = container_of(to_delayed_work(work),
					      struct cm_context, drain_work);
	struct cm_chunk *chunk, *next;
	LIST_HEAD(drained);
	bool again;

	mutex_lock(&ctx->lock);
	list_for_each_entry_safe(chunk, next, &ctx->drains, drain) {
		if (is_in_use(chunk))
			continue;
		list_move(&chunk->drain, &drained);
		ctx->draining -= chunk->extent.count;
	}
	again = !list_empty(&ctx->drains);
	mutex_unlock(&ctx->lock);

	list_for_each_entry_safe(chunk, next, &drained, drain) {
		list_del(&chunk->drain);
		retire(chunk);
		/* Not the last use of this code: the driver's remove waits. */
		module_put(THIS_MODULE);
	}
	if (again)
		schedule_delayed_work(&ctx->drain_work, DRAIN_INTERVAL);
}

/**
 * cm_drain() - give a chunk's memory back, now or as soon as that is possible
 * @chunk: a chunk that no descriptor, mapping or driver can reach any more;
 *         the memory's reference on it is consumed
 */
void cm_drain(struct cm_chunk *chunk)
{
	if (is_in_use(chunk))
		drain_later(chunk);
	else
		retire(chunk);
}
