// SPDX-License-Identifier: GPL-2.0
/*
 * Context: from its making to its end, and finding it.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "background.h"
#include "context.h"
#include "spec.h"

static LIST_HEAD(context_list);
static DEFINE_MUTEX(context_list_lock);
static atomic_t context_count = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(context_all_gone);

/**
 * cm_context_space() - how much is free, and in how large a piece
 * @ctx:          the context, locked
 * @free:         set to the bytes that no chunk has
 * @largest_hole: set to the bytes of the largest hole
 */
void cm_context_space(struct cm_context *ctx, u64 *free, u64 *largest_hole)
{
	const struct cm_placement *map = &ctx->pool.map;

	lockdep_assert_held(&ctx->pool.lock);
	*free = (u64)cm_placement_free(map) << PAGE_SHIFT;
	*largest_hole = (u64)cm_placement_largest_hole(map) << PAGE_SHIFT;
}

/**
 * cm_context_stats() - report the statistics of a context
 * @ctx:   the context
 * @stats: filled in
 */
void cm_context_stats(struct cm_context *ctx, struct cm_stats *stats)
{
	cm_context_lock(ctx);
	*stats = ctx->stats;
	cm_pool_usage(&ctx->pool, &stats->held, &stats->lent);
	cm_context_unlock(ctx);
}

/**
 * cm_context_query() - describe a context
 * @ctx:   the context
 * @query: filled in
 */
void cm_context_query(struct cm_context *ctx, struct cm_query *query)
{
	cm_context_lock(ctx);
	query->size = (u64)ctx->pool.map.count << PAGE_SHIFT;
	cm_context_space(ctx, &query->free, &query->largest_hole);
	query->pinned = (u64)ctx->pinned << PAGE_SHIFT;
	query->draining = (u64)ctx->draining << PAGE_SHIFT;
	query->chunks = ctx->chunks;
	cm_context_unlock(ctx);

	query->min_alignment = (u64)ctx->min_align << PAGE_SHIFT;
	query->page_size = PAGE_SIZE;
	query->features = CM_FEATURE_COMPACT | CM_FEATURE_LAYOUT |
			  CM_FEATURE_QUOTA | CM_FEATURE_CONTROL |
			  CM_FEATURE_OWNER | CM_FEATURE_USERS |
			  CM_FEATURE_DMA_HEAP;
	query->flags = ctx->pool.private ? CM_CONTEXT_PRIVATE : 0;
	strscpy(query->name, dev_name(&ctx->dev), sizeof(query->name));
	strscpy(query->version, CM_MODULE_VERSION, sizeof(query->version));
}

/**
 * cm_context_holding() - find the context whose bank holds a range
 * @first: physical address of the first byte
 * @last:  physical address of the last byte
 * @name:  CM_NAME_LEN bytes, set to the context's name when there is one
 *
 * Return: whether there is one.
 */
bool cm_context_holding(u64 first, u64 last, char *name)
{
	struct cm_context *ctx;
	bool found = false;

	mutex_lock(&context_list_lock);
	list_for_each_entry(ctx, &context_list, node) {
		if (first >> PAGE_SHIFT < ctx->pool.bank.start ||
		    last >> PAGE_SHIFT >= ctx->pool.bank.start + ctx->pool.bank.count)
			continue;
		strscpy(name, dev_name(&ctx->dev), CM_NAME_LEN);
		found = true;
		break;
	}
	mutex_unlock(&context_list_lock);
	return found;
}

/**
 * cm_context_any() - find a context
 * @match: says whether it is the one
 * @data:  for @match
 *
 * Return: the context, with a reference for the caller, or NULL.
 */
struct cm_context *cm_context_any(bool (*match)(struct cm_context *ctx,
						const void *data),
				  const void *data)
{
	struct cm_context *ctx, *found = NULL;

	mutex_lock(&context_list_lock);
	list_for_each_entry(ctx, &context_list, node)
		if (!found && match(ctx, data))
			found = ctx;
	if (found)
		get_device(&found->dev);
	mutex_unlock(&context_list_lock);
	return found;
}

static bool context_is_named(struct cm_context *ctx, const void *name)
{
	return !strcmp(dev_name(&ctx->dev), name);
}

/**
 * cm_context_find() - find a context by its name
 * @name: the name
 *
 * Return: the context, with a reference for the caller, or NULL.
 */
struct cm_context *cm_context_find(const char *name)
{
	return cm_context_any(context_is_named, name);
}

/**
 * cm_context_enlist() - let others find a context
 * @ctx: the context
 */
void cm_context_enlist(struct cm_context *ctx)
{
	mutex_lock(&context_list_lock);
	list_add_tail(&ctx->node, &context_list);
	mutex_unlock(&context_list_lock);
}

/**
 * cm_context_delist() - undo cm_context_enlist()
 * @ctx: the context
 */
void cm_context_delist(struct cm_context *ctx)
{
	mutex_lock(&context_list_lock);
	list_del(&ctx->node);
	mutex_unlock(&context_list_lock);
}

static void context_free_work(struct work_struct *work)
{
	struct cm_context *ctx = container_of(to_delayed_work(work),
					      struct cm_context, free_work);

	/* The last reference may have gone in one of these works. */
	cancel_delayed_work_sync(&ctx->drain_work);
	if (ctx->queue)
		destroy_workqueue(ctx->queue);
	cm_pool_close(&ctx->pool);
	cm_quota_drop(&ctx->quotas);
	kfree(ctx);
	if (atomic_dec_and_test(&context_count))
		wake_up(&context_all_gone);
}

/* Maybe on the context's own queue, which cannot wait for its own end. */
static void context_release(struct device *dev)
{
	struct cm_context *ctx = container_of(dev, struct cm_context, dev);

	cm_background_later(&ctx->free_work, 0);
}

static struct cm_context *context_alloc(const struct cm_spec *spec,
					work_func_t drain)
{
	struct cm_context *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);

	if (!ctx)
		return NULL;
	atomic_inc(&context_count);
	cm_pool_prepare(&ctx->pool);
	cm_quota_init(&ctx->quotas);
	INIT_LIST_HEAD(&ctx->drains);
	INIT_DELAYED_WORK(&ctx->drain_work, drain);
	INIT_DELAYED_WORK(&ctx->free_work, context_free_work);
	ctx->min_align = max_t(u64, spec->min_align >> PAGE_SHIFT, 1);
	device_initialize(&ctx->dev);
	ctx->dev.release = context_release;
	ctx->queue = alloc_ordered_workqueue("cm-%s", 0, spec->name);
	if (ctx->queue && !dev_set_name(&ctx->dev, "%s", spec->name)) {
		ctx->pool.name = dev_name(&ctx->dev);
		return ctx;
	}
	put_device(&ctx->dev);
	return NULL;
}

/**
 * cm_context_new() - make a context that nobody finds yet
 * @spec:  what it is to be, checked by cm_spec_check()
 * @drain: for &cm_context.drain_work
 * @why:   the reason when it is refused
 *
 * Sleeps while the pages of a private context are migrated.
 *
 * Return: the context, with the only reference, or an ERR_PTR(): as
 * cm_bank_claim(), EINTR.
 */
struct cm_context *cm_context_new(const struct cm_spec *spec, work_func_t drain,
				  struct cm_refusal *why)
{
	struct cm_context *ctx = context_alloc(spec, drain);
	int ret;

	if (!ctx)
		return ERR_PTR(cm_refuse(why, -ENOMEM, "no memory"));
	ret = cm_pool_open(&ctx->pool, spec, why);
	if (!ret)
		return ctx;
	put_device(&ctx->dev);
	return ERR_PTR(ret);
}

/**
 * cm_context_retire() - give up a context's memory, for good
 * @ctx: the context; those who have its node open find no place any more
 *
 * Return: 0, or EBUSY, and nothing changes, while it has chunks or memory of
 * one is on its way back.
 */
int cm_context_retire(struct cm_context *ctx)
{
	bool empty;

	cm_context_lock(ctx);
	empty = list_empty(&ctx->pool.map.extents);
	if (empty) {
		ctx->gone = true;
		ctx->pool.map.count = 0;
	}
	cm_context_unlock(ctx);
	if (!empty)
		return -EBUSY;
	/* Nothing is found any more, so what comes after this takes nothing. */
	flush_workqueue(ctx->queue);
	cm_pool_close(&ctx->pool);
	return 0;
}

/**
 * cm_context_exit() - wait for the end of contexts that are listed no more
 *
 * On their queues there may still be somebody's request.
 */
void cm_context_exit(void)
{
	wait_event(context_all_gone, !atomic_read(&context_count));
}
