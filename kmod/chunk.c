// SPDX-License-Identifier: GPL-2.0
/*
 * Chunk: the object, what holds it, and how its memory goes back.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "background.h"
#include "chunk.h"
#include "quota.h"
#include "sync.h"
#include "trace.h"

/* Pages that are looked at before others may have the CPU. */
#define CHUNK_LOOK_PAGES	1024

/* How often freed chunks are looked at whose pages somebody holds. */
#define CHUNK_DRAIN_FIRST	msecs_to_jiffies(20)
#define CHUNK_DRAIN_LAST	msecs_to_jiffies(1000)

static atomic64_t chunk_last_id = ATOMIC64_INIT(0);

/**
 * cm_chunk_new() - make a chunk that has no memory yet
 * @ctx:   the context, a node of which is open
 * @owner: whose it will be
 * @align: page frames
 *
 * Return: the chunk, the caller's to put; NULL when there is no memory for it.
 */
struct cm_chunk *cm_chunk_new(struct cm_context *ctx,
			      const struct cm_owner *owner, unsigned long align)
{
	struct cm_chunk *chunk = kzalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);

	if (!chunk)
		return NULL;
	kref_init(&chunk->ref);
	chunk->ctx = ctx;
	chunk->id = atomic64_inc_return(&chunk_last_id);
	chunk->align = align;
	chunk->owner = *owner;
	chunk->extent.owner = chunk;
	INIT_LIST_HEAD(&chunk->extent.node);
	INIT_LIST_HEAD(&chunk->drain);
	init_rwsem(&chunk->lock);
	mutex_init(&chunk->sync_lock);
	get_device(&ctx->dev);
	/* The open node holds the module; the chunk may outlive it. */
	__module_get(THIS_MODULE);
	return chunk;
}

static void chunk_uncharge(struct cm_chunk *chunk)
{
	lockdep_assert_held(&chunk->ctx->pool.lock);
	if (chunk->charged)
		cm_quota_uncharge(&chunk->ctx->quotas,
				  chunk->owner.account, chunk->charged);
	chunk->charged = 0;
}

/* Maybe in a work of the context, for whose end cm_exit() waits. */
static void chunk_delete(struct kref *ref)
{
	struct cm_chunk *chunk = container_of(ref, struct cm_chunk, ref);
	struct cm_context *ctx = chunk->ctx;

	cm_context_lock(ctx);
	chunk_uncharge(chunk);
	cm_context_unlock(ctx);
	put_device(&ctx->dev);
	kfree(chunk);
	module_put(THIS_MODULE);
}

/**
 * cm_chunk_get() - take a reference on the structure
 * @chunk: the chunk
 */
void cm_chunk_get(struct cm_chunk *chunk)
{
	kref_get(&chunk->ref);
}

/**
 * cm_chunk_put() - let go of a reference on the structure
 * @chunk: the chunk
 */
void cm_chunk_put(struct cm_chunk *chunk)
{
	kref_put(&chunk->ref, chunk_delete);
}

/**
 * cm_chunk_belongs_to() - whether somebody has an owner's rights
 * @chunk: the chunk
 * @owner: who opened the node that is used
 *
 * Return: whether, which CAP_SYS_ADMIN always has.
 */
bool cm_chunk_belongs_to(const struct cm_chunk *chunk,
			 const struct cm_owner *owner)
{
	return uid_eq(chunk->owner.uid, owner->uid) || capable(CAP_SYS_ADMIN);
}

/**
 * cm_chunk_info() - describe a chunk
 * @chunk: the chunk
 * @info:  filled in but for its name, which is the dma-buf's
 *
 * Return: 0, or ESTALE when the chunk was freed.
 */
int cm_chunk_info(struct cm_chunk *chunk, struct cm_info *info)
{
	bool freed;

	cm_context_lock(chunk->ctx);
	freed = chunk->freed;
	info->size = cm_chunk_size(chunk);
	info->pins = chunk->pins;
	info->imports = chunk->imports;
	info->maps = chunk->maps;
	cm_context_unlock(chunk->ctx);
	if (freed)
		return -ESTALE;
	info->id = chunk->id;
	info->alignment = (u64)chunk->align << PAGE_SHIFT;
	info->uid = from_kuid_munged(current_user_ns(), chunk->owner.uid);
	info->pid = chunk->owner.pid;
	strscpy(info->comm, chunk->owner.comm, sizeof(info->comm));
	return 0;
}

/**
 * cm_chunk_first_held() - find a page that somebody else holds
 * @chunk: a chunk without any mapping
 * @from:  index of the page to begin with
 *
 * Taking a page from the system leaves one reference on it, ours, and each
 * entry of a page table adds one. So without any mapping a second one is that
 * of somebody who got hold of the page: an O_DIRECT transfer that is under way
 * outlives both the mapping and the descriptor, and a page in a pipe stays
 * there for as long as nobody reads it.
 *
 * Return: the index of the page, or the number of pages when there is none.
 */
unsigned long cm_chunk_first_held(const struct cm_chunk *chunk,
				  unsigned long from)
{
	const struct cm_extent *extent = &chunk->extent;

	while (from < extent->count &&
	       page_count(pfn_to_page(extent->start + from)) == 1)
		if (!(++from % CHUNK_LOOK_PAGES))
			cond_resched();
	return from;
}

/**
 * cm_chunk_discard() - give back the memory of a chunk
 * @chunk: the chunk, which may have none; nobody holds a page of it or moves it
 */
void cm_chunk_discard(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	cm_context_lock(ctx);
	if (cm_chunk_has_memory(chunk))
		cm_pool_remove(&ctx->pool, &chunk->extent);
	chunk_uncharge(chunk);
	cm_context_unlock(ctx);
}

/**
 * cm_chunk_retire() - see to it that nobody uses or moves a chunk any more
 * @chunk: the chunk
 *
 * Waits for those who do.
 *
 * Return: whether it was in use until now.
 */
bool cm_chunk_retire(struct cm_chunk *chunk)
{
	bool freed;

	down_write(&chunk->lock);
	cm_context_lock(chunk->ctx);
	freed = chunk->freed;
	WRITE_ONCE(chunk->freed, true);
	chunk->dmabuf = NULL;
	cm_context_unlock(chunk->ctx);
	up_write(&chunk->lock);
	return !freed;
}

/**
 * cm_chunk_abandon() - give back the memory of a chunk that was not finished
 * @chunk: the chunk, which may be on the move
 */
void cm_chunk_abandon(struct cm_chunk *chunk)
{
	cm_chunk_retire(chunk);
	cm_chunk_discard(chunk);
}

static bool chunk_is_held(struct cm_chunk *chunk)
{
	/* A page that was let go stays so: nobody can get at it any more. */
	chunk->drained = cm_chunk_first_held(chunk, chunk->drained);
	return chunk->drained < chunk->extent.count;
}

/* The memory's reference is consumed, which may be what holds the context. */
static void chunk_give(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	cm_context_lock(ctx);
	ctx->stats.frees++;
	cm_bank_note_written(&ctx->pool.bank, chunk->extent.start,
			     chunk->extent.count);
	if (!list_empty(&chunk->drain)) {
		list_del_init(&chunk->drain);
		ctx->draining -= chunk->extent.count;
	}
	cm_context_unlock(ctx);
	cm_chunk_discard(chunk);
	cm_chunk_put(chunk);
}

static void chunk_drain_later(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	cm_context_lock(ctx);
	list_add(&chunk->drain, &ctx->drains);
	ctx->draining += chunk->extent.count;
	ctx->drain_delay = CHUNK_DRAIN_FIRST;
	cm_background_later(&ctx->drain_work, ctx->drain_delay);
	cm_context_unlock(ctx);
}

/**
 * cm_chunk_release() - give back the memory of a chunk that nobody can reach
 * @chunk: a chunk without descriptor, mapping or driver; the memory's reference
 *         on it is consumed
 *
 * As soon as nobody holds a page of it.
 */
void cm_chunk_release(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	trace_cm_free(dev_name(&ctx->dev), chunk->id, cm_chunk_size(chunk));
	cm_context_lock(ctx);
	ctx->chunks--;
	cm_context_unlock(ctx);
	if (chunk_is_held(chunk))
		chunk_drain_later(chunk);
	else
		chunk_give(chunk);
}

/**
 * cm_chunk_drain() - give back freed chunks that nobody holds any more
 * @ctx: the context
 *
 * For the context's works, whose end the end of the context waits for. Two of
 * them may be here at once, and the second one sees none of them: so the first
 * one sees to it that what is left is looked at again.
 */
void cm_chunk_drain(struct cm_context *ctx)
{
	struct cm_chunk *chunk, *next;
	LIST_HEAD(drains);

	cm_context_lock(ctx);
	list_splice_init(&ctx->drains, &drains);
	cm_context_unlock(ctx);
	list_for_each_entry_safe(chunk, next, &drains, drain)
		if (!chunk_is_held(chunk))
			chunk_give(chunk);
	cm_context_lock(ctx);
	list_splice(&drains, &ctx->drains);
	if (!list_empty(&ctx->drains) && !delayed_work_pending(&ctx->drain_work))
		cm_background_later(&ctx->drain_work, ctx->drain_delay);
	cm_context_unlock(ctx);
}

/**
 * cm_chunk_drain_work() - look after a context's chunks that drain
 * @work: &cm_context.drain_work
 *
 * A page in a pipe may stay for ever: it is looked at less and less often.
 */
void cm_chunk_drain_work(struct work_struct *work)
{
	struct cm_context *ctx = container_of(to_delayed_work(work),
					      struct cm_context, drain_work);

	cm_context_lock(ctx);
	ctx->drain_delay = min(2 * ctx->drain_delay, CHUNK_DRAIN_LAST);
	cm_context_unlock(ctx);
	cm_chunk_drain(ctx);
}

/**
 * cm_chunk_hold() - fix a chunk's place
 * @chunk: the chunk, its lock held for writing
 * @count: the member to count it in: &cm_chunk.pins or &cm_chunk.maps
 */
void cm_chunk_hold(struct cm_chunk *chunk, u32 *count)
{
	lockdep_assert_held_write(&chunk->lock);
	cm_context_lock(chunk->ctx);
	if (!chunk->pins && !chunk->maps)
		chunk->ctx->pinned += chunk->extent.count;
	++*count;
	cm_context_unlock(chunk->ctx);
}

/**
 * cm_chunk_unhold() - undo cm_chunk_hold()
 * @chunk: the chunk, its lock held for writing
 * @count: the same member
 */
void cm_chunk_unhold(struct cm_chunk *chunk, u32 *count)
{
	lockdep_assert_held_write(&chunk->lock);
	cm_context_lock(chunk->ctx);
	--*count;
	if (!chunk->pins && !chunk->maps)
		chunk->ctx->pinned -= chunk->extent.count;
	cm_context_unlock(chunk->ctx);
}

/**
 * cm_chunk_sync() - let devices see what the CPU wrote
 * @chunk:   the chunk, its place fixed, its lock held
 * @for_cpu: let the CPU see what devices wrote, too
 */
void cm_chunk_sync(struct cm_chunk *chunk, bool for_cpu)
{
	struct cm_context *ctx = chunk->ctx;

	trace_cm_sync(dev_name(&ctx->dev), chunk->id,
		      (u64)(chunk->extent.start - ctx->pool.bank.start) << PAGE_SHIFT,
		      cm_chunk_size(chunk), for_cpu);
	mutex_lock(&chunk->sync_lock);
	cm_sync(chunk->extent.start, chunk->extent.count, for_cpu);
	mutex_unlock(&chunk->sync_lock);
}
