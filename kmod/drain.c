// SPDX-License-Identifier: GPL-2.0
/*
 * Drain: giving memory back once nobody holds a page of it any more.
 */
#include <linux/mm.h>
#include <linux/module.h>

#include "drain.h"
#include "search.h"

#define DRAIN_INTERVAL		msecs_to_jiffies(20)

static struct workqueue_struct *drain_queue;

/**
 * cm_drain_init() - prepare for chunks that cannot be given back at once
 *
 * Return: 0 or ENOMEM.
 */
int cm_drain_init(void)
{
	/* Unbound: no CPU is better than another, and 7.x wants to be told. */
	drain_queue = alloc_workqueue("cm-drain", WQ_UNBOUND, 0);
	return drain_queue ? 0 : -ENOMEM;
}

/**
 * cm_drain_exit() - wait until the last work has ended, and undo
 *                   cm_drain_init()
 */
void cm_drain_exit(void)
{
	destroy_workqueue(drain_queue);
}

static bool is_in_use(struct cm_chunk *chunk)
{
	/* A page that was let go stays so: nobody can get at it any more. */
	chunk->drained = cm_chunk_first_held(chunk, chunk->drained);
	return chunk->drained < chunk->extent.count;
}

static void give(struct cm_chunk *chunk)
{
	cm_search_give(chunk->ctx, &chunk->extent);
	cm_chunk_put(chunk);
}

/* It counts as free from now on, though giving it back takes a while. */
static void leave(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	lockdep_assert_held(&ctx->lock);
	ctx->stats.frees++;
	cm_placement_leave(&ctx->map, &chunk->extent, chunk->extent.count);
}

/*
 * The work keeps context and module until it has run. Called with the lock
 * held, so that somebody else's run cannot end in between.
 */
static void look_within(struct cm_context *ctx, unsigned long delay)
{
	bool pending;

	lockdep_assert_held(&ctx->lock);
	if (delay)
		pending = !queue_delayed_work(drain_queue, &ctx->drain_work,
					     delay);
	else
		pending = mod_delayed_work(drain_queue, &ctx->drain_work, 0);
	if (!pending) {
		get_device(&ctx->dev);
		__module_get(THIS_MODULE);
	}
}

static void drain_later(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	mutex_lock(&ctx->lock);
	list_add(&chunk->drain, &ctx->drains);
	ctx->draining += chunk->extent.count;
	look_within(ctx, DRAIN_INTERVAL);
	mutex_unlock(&ctx->lock);
}

/**
 * cm_drain_work() - give back freed chunks whose last page was let go
 * @work: &cm_context.drain_work
 */
void cm_drain_work(struct work_struct *work)
{
	struct cm_context *ctx = container_of(to_delayed_work(work),
					      struct cm_context, drain_work);
	struct cm_chunk *chunk, *next;
	LIST_HEAD(drained);

	mutex_lock(&ctx->lock);
	list_for_each_entry_safe(chunk, next, &ctx->drains, drain) {
		/* What is spare nobody was ever given. */
		if (!chunk->extent.spare && is_in_use(chunk))
			continue;
		list_move(&chunk->drain, &drained);
		if (!chunk->extent.spare) {
			ctx->draining -= chunk->extent.count;
			leave(chunk);
		}
	}
	if (!list_empty(&ctx->drains))
		look_within(ctx, DRAIN_INTERVAL);
	mutex_unlock(&ctx->lock);

	list_for_each_entry_safe(chunk, next, &drained, drain) {
		list_del(&chunk->drain);
		give(chunk);
	}
	put_device(&ctx->dev);
	/* Not the last use of this code: cm_drain_exit() waits for its end. */
	module_put(THIS_MODULE);
}

/**
 * cm_drain() - give a chunk's memory back, now or as soon as that is possible
 * @chunk: a chunk that no descriptor, mapping or driver can reach any more;
 *         the memory's reference on it is consumed
 */
void cm_drain(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	if (is_in_use(chunk)) {
		drain_later(chunk);
		return;
	}
	mutex_lock(&ctx->lock);
	leave(chunk);
	mutex_unlock(&ctx->lock);
	give(chunk);
}

/**
 * cm_drain_spare() - give back a place that no chunk came to
 * @chunk: the chunk that it was taken for, or stands for its new place
 *
 * Does not wait for that. Its memory counts as free: who looks for a hole of a
 * certain size waits for it.
 */
void cm_drain_spare(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	kref_get(&chunk->ref);
	mutex_lock(&ctx->lock);
	cm_placement_leave(&ctx->map, &chunk->extent, chunk->extent.count);
	list_add(&chunk->drain, &ctx->drains);
	look_within(ctx, 0);
	mutex_unlock(&ctx->lock);
}
