// SPDX-License-Identifier: GPL-2.0
/*
 * Chunk: from a request to memory, and back.
 */
#include <linux/atomic.h>
#include <linux/cred.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "chunk.h"

#define DEFAULT_DEADLINE_NS	(10 * NSEC_PER_SEC)
#define DRAIN_INTERVAL		msecs_to_jiffies(20)

static atomic64_t last_id = ATOMIC64_INIT(0);

/**
 * struct search - an allocation under way
 * @ctx:      the context
 * @extent:   what is to be placed
 * @count:    page frames
 * @align:    page frames
 * @deadline: ktime_get_ns() at which to give up
 * @retries:  places that were busy
 * @blocked:  what the last busy place failed with
 */
struct search {
	struct cm_context *ctx;
	struct cm_extent *extent;
	unsigned long count;
	unsigned long align;
	u64 deadline;
	u32 retries;
	int blocked;
};

static bool place_next(struct search *search, unsigned long stride,
		       struct cm_place *place)
{
	struct cm_context *ctx = search->ctx;
	bool found;

	mutex_lock(&ctx->lock);
	found = cm_placement_next(&ctx->map, search->count, search->align,
				  stride, place);
	if (found)
		cm_placement_insert(&ctx->map, search->extent, place,
				    search->count);
	mutex_unlock(&ctx->lock);
	return found;
}

static void unplace(struct cm_context *ctx, struct cm_extent *extent)
{
	mutex_lock(&ctx->lock);
	cm_placement_remove(&ctx->map, extent);
	mutex_unlock(&ctx->lock);
}

/*
 * Try places @stride apart until one can be emptied. ENOSPC when none is left;
 * any other error ends the search.
 */
static int take_place(struct search *search, unsigned long stride)
{
	struct cm_context *ctx = search->ctx;
	struct cm_place place = { 0 };
	int ret;

	while (place_next(search, stride, &place)) {
		ret = cm_bank_take(&ctx->bank, place.start, search->count);
		if (!ret)
			return 0;

		unplace(ctx, search->extent);
		if (fatal_signal_pending(current))
			return -EINTR;
		if (ret != -EBUSY && ret != -ENOMEM)
			return ret;
		search->retries++;
		search->blocked = ret;
		if (ktime_get_ns() >= search->deadline)
			return -ETIMEDOUT;
		cond_resched();
	}
	return -ENOSPC;
}

/*
 * One page that does not want to leave spoils every place that covers it, so
 * look at places a pageblock apart first, and at all of them only then.
 */
static int take_shared(struct search *search)
{
	struct cm_context *ctx = search->ctx;
	int ret;

	ret = cm_bank_lock(&ctx->bank, search->deadline);
	if (ret)
		return ret;
	ret = take_place(search, max(search->align, pageblock_nr_pages));
	if (ret == -ENOSPC && search->retries)
		ret = take_place(search, search->align);
	cm_bank_unlock(&ctx->bank);
	return ret;
}

static int take_private(struct search *search)
{
	struct cm_place place = { 0 };

	return place_next(search, search->align, &place) ? 0 : -ENOSPC;
}

static bool is_full(struct cm_context *ctx, unsigned long count)
{
	bool full;

	mutex_lock(&ctx->lock);
	full = ctx->map.count - ctx->map.used < count;
	mutex_unlock(&ctx->lock);
	return full;
}

static enum cm_reason reason_of(const struct search *search, int error)
{
	switch (error) {
	case 0:
		return CM_REASON_NONE;
	case -ENOSPC:
		if (search->blocked)
			return search->blocked == -EBUSY ? CM_REASON_BUSY :
							   CM_REASON_NO_MEMORY;
		return is_full(search->ctx, search->count) ?
			       CM_REASON_FULL : CM_REASON_FRAGMENTED;
	case -ETIMEDOUT:
		return CM_REASON_DEADLINE;
	case -EINTR:
		return CM_REASON_INTERRUPTED;
	case -EINVAL:
		return CM_REASON_INVALID;
	default:
		return CM_REASON_NO_MEMORY;
	}
}

static int errno_of(enum cm_reason reason)
{
	static const int errnos[CM_REASON_COUNT] = {
		[CM_REASON_FULL] = -ENOMEM,
		[CM_REASON_FRAGMENTED] = -ENOMEM,
		[CM_REASON_BUSY] = -EBUSY,
		[CM_REASON_DEADLINE] = -ETIMEDOUT,
		[CM_REASON_INTERRUPTED] = -EINTR,
		[CM_REASON_NO_MEMORY] = -ENOMEM,
		[CM_REASON_INVALID] = -EINVAL,
	};

	return errnos[reason];
}

static int zero_pages(unsigned long start, unsigned long count)
{
	unsigned long i;

	for (i = 0; i < count; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		clear_highpage(pfn_to_page(start + i));
		cond_resched();
	}
	return 0;
}

/*
 * The mapping for the module's own device lives as long as the memory: it is
 * what CPU access is synced for when no driver has imported the chunk. The
 * first sync brings the zeros out of the caches.
 */
static int map_own(struct cm_chunk *chunk)
{
	struct device *dev = chunk->ctx->dma_dev;

	chunk->dma = dma_map_page_attrs(dev, cm_chunk_page(chunk), 0,
					cm_chunk_size(chunk), DMA_BIDIRECTIONAL,
					DMA_ATTR_SKIP_CPU_SYNC);
	if (dma_mapping_error(dev, chunk->dma))
		return -ENOMEM;
	dma_sync_single_for_device(dev, chunk->dma, cm_chunk_size(chunk),
				   DMA_BIDIRECTIONAL);
	return 0;
}

static void give_back(struct cm_context *ctx, struct cm_extent *extent)
{
	if (!ctx->private)
		cm_bank_give(&ctx->bank, extent->start, extent->count);
	unplace(ctx, extent);
}

static struct cm_chunk *new_chunk(struct cm_context *ctx)
{
	struct cm_chunk *chunk = kzalloc(sizeof(*chunk), GFP_KERNEL);

	if (!chunk)
		return NULL;
	kref_init(&chunk->ref);
	chunk->ctx = ctx;
	get_device(&ctx->dev);
	INIT_LIST_HEAD(&chunk->drain);
	INIT_LIST_HEAD(&chunk->attachments);
	init_rwsem(&chunk->lock);
	chunk->id = atomic64_inc_return(&last_id);
	chunk->uid = current_euid();
	chunk->pid = task_tgid_nr(current);
	get_task_comm(chunk->comm, current->group_leader);
	return chunk;
}

static void delete_chunk(struct kref *ref)
{
	struct cm_chunk *chunk = container_of(ref, struct cm_chunk, ref);

	put_device(&chunk->ctx->dev);
	kfree(chunk);
}

static int fill_chunk(struct cm_chunk *chunk, struct search *search)
{
	struct cm_context *ctx = chunk->ctx;
	int ret;

	search->extent = &chunk->extent;
	ret = ctx->private ? take_private(search) : take_shared(search);
	if (ret)
		return ret;

	ret = zero_pages(chunk->extent.start, chunk->extent.count);
	if (!ret)
		ret = map_own(chunk);
	if (ret)
		give_back(ctx, &chunk->extent);
	return ret;
}

static int read_request(struct cm_context *ctx, const struct cm_alloc *req,
			struct search *search)
{
	u64 align = max_t(u64, req->alignment, ctx->min_align << PAGE_SHIFT);
	u64 now = ktime_get_ns();

	if (!req->size)
		return -EINVAL;
	if (req->alignment && (req->alignment < PAGE_SIZE ||
			       !is_power_of_2(req->alignment)))
		return -EINVAL;

	/* Neither can be met beyond the size of the map: cut, do not wrap. */
	search->count = min_t(u64, ((req->size - 1) >> PAGE_SHIFT) + 1,
			      ULONG_MAX);
	search->align = min_t(u64, align >> PAGE_SHIFT,
			      1UL << (BITS_PER_LONG - 1));
	search->deadline = now + (req->deadline_ns ?: DEFAULT_DEADLINE_NS);
	if (search->deadline < now)
		search->deadline = U64_MAX;
	return 0;
}

static void report(struct search *search, struct cm_alloc *req,
		   enum cm_reason reason, u64 ns)
{
	struct cm_context *ctx = search->ctx;

	mutex_lock(&ctx->lock);
	if (reason)
		cm_stats_failure(&ctx->stats, reason, search->retries);
	else
		cm_stats_success(&ctx->stats, req->size, ns, search->retries);
	ctx->chunks += !reason;
	req->free = (u64)(ctx->map.count - ctx->map.used) << PAGE_SHIFT;
	req->largest_hole =
		(u64)cm_placement_largest_hole(&ctx->map) << PAGE_SHIFT;
	mutex_unlock(&ctx->lock);
	req->retries = search->retries;
	req->reason = reason;
}

/**
 * cm_chunk_alloc() - allocate zeroed, contiguous memory
 * @ctx: the context
 * @req: the request; its output members but @fd are filled in
 *
 * Sleeps. Give the chunk to a dma-buf, or back with cm_chunk_abandon().
 *
 * Return: the chunk, or an ERR_PTR() as documented for &struct cm_alloc.
 */
struct cm_chunk *cm_chunk_alloc(struct cm_context *ctx, struct cm_alloc *req)
{
	struct search search = { .ctx = ctx };
	struct cm_chunk *chunk = NULL;
	u64 begin = ktime_get_ns();
	enum cm_reason reason;
	int ret;

	ret = read_request(ctx, req, &search);
	if (!ret) {
		chunk = new_chunk(ctx);
		ret = chunk ? fill_chunk(chunk, &search) : -ENOMEM;
	}
	reason = reason_of(&search, ret);
	if (!reason) {
		req->size = cm_chunk_size(chunk);
		req->alignment = (u64)search.align << PAGE_SHIFT;
		req->id = chunk->id;
		chunk->align = req->alignment;
	}
	report(&search, req, reason, ktime_get_ns() - begin);
	if (!reason)
		return chunk;
	if (chunk)
		kref_put(&chunk->ref, delete_chunk);
	return ERR_PTR(errno_of(reason));
}

/*
 * Somebody else may hold references on pages: an O_DIRECT transfer that is
 * under way outlives both the mapping and the descriptor.
 */
static bool is_in_use(const struct cm_extent *extent)
{
	unsigned long i;

	for (i = 0; i < extent->count; i++)
		if (page_count(pfn_to_page(extent->start + i)) > 1)
			return true;
	return false;
}

static void retire(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	give_back(ctx, &chunk->extent);
	mutex_lock(&ctx->lock);
	ctx->stats.frees++;
	mutex_unlock(&ctx->lock);
	kref_put(&chunk->ref, delete_chunk);
}

static void drain_later(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	/* The work ends before the module goes: see cm_chunk_drain(). */
	__module_get(THIS_MODULE);
	mutex_lock(&ctx->lock);
	list_add(&chunk->drain, &ctx->drains);
	ctx->draining += chunk->extent.count;
	mutex_unlock(&ctx->lock);
	schedule_delayed_work(&ctx->drain_work, DRAIN_INTERVAL);
}

/**
 * cm_chunk_drain() - retire freed chunks whose last page was let go
 * @work: &cm_context.drain_work
 */
void cm_chunk_drain(struct work_struct *work)
{
	struct cm_context *ctx = container_of(to_delayed_work(work),
					      struct cm_context, drain_work);
	struct cm_chunk *chunk, *next;
	LIST_HEAD(drained);
	bool again;

	mutex_lock(&ctx->lock);
	list_for_each_entry_safe(chunk, next, &ctx->drains, drain) {
		if (is_in_use(&chunk->extent))
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

static void release_memory(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	dma_unmap_page_attrs(ctx->dma_dev, chunk->dma, cm_chunk_size(chunk),
			     DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
	mutex_lock(&ctx->lock);
	ctx->chunks--;
	mutex_unlock(&ctx->lock);
	if (is_in_use(&chunk->extent))
		drain_later(chunk);
	else
		retire(chunk);
}

/**
 * cm_chunk_free() - give a chunk's memory back before its descriptors go
 * @chunk:  the chunk
 * @dmabuf: its dma-buf
 *
 * Return: 0, ESTALE when that was done before, EBUSY when it is in use.
 */
int cm_chunk_free(struct cm_chunk *chunk, struct dma_buf *dmabuf)
{
	int ret = 0;

	down_write(&chunk->lock);
	if (chunk->freed)
		ret = -ESTALE;
	else if (chunk->pins || chunk->imports || chunk->maps)
		ret = -EBUSY;
	if (!ret) {
		chunk->freed = true;
		unmap_mapping_range(dmabuf->file->f_mapping, 0, 0, 1);
		/* The dma-buf keeps the structure. */
		kref_get(&chunk->ref);
		release_memory(chunk);
	}
	up_write(&chunk->lock);
	return ret;
}

/**
 * cm_chunk_abandon() - let go of a chunk that nobody can reach any more
 * @chunk: the chunk, whose memory is given back unless that was done before
 */
void cm_chunk_abandon(struct cm_chunk *chunk)
{
	if (chunk->freed)
		kref_put(&chunk->ref, delete_chunk);
	else
		release_memory(chunk);
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
	int ret = 0;

	down_read(&chunk->lock);
	if (chunk->freed) {
		ret = -ESTALE;
	} else {
		info->id = chunk->id;
		info->size = cm_chunk_size(chunk);
		info->alignment = chunk->align;
		info->pins = chunk->pins;
		info->imports = chunk->imports;
		info->maps = chunk->maps;
		info->uid = from_kuid_munged(current_user_ns(), chunk->uid);
		info->pid = chunk->pid;
		strscpy(info->comm, chunk->comm, sizeof(info->comm));
	}
	up_read(&chunk->lock);
	return ret;
}

static bool is_held(const struct cm_chunk *chunk)
{
	return chunk->pins || chunk->maps;
}

static void count_pinned(struct cm_chunk *chunk, long change)
{
	mutex_lock(&chunk->ctx->lock);
	chunk->ctx->pinned += change;
	mutex_unlock(&chunk->ctx->lock);
}

/**
 * cm_chunk_hold() - fix a chunk's place
 * @chunk: the chunk, its lock held for writing
 * @count: the member to count it in: &cm_chunk.pins or &cm_chunk.maps
 */
void cm_chunk_hold(struct cm_chunk *chunk, u32 *count)
{
	if (!is_held(chunk))
		count_pinned(chunk, chunk->extent.count);
	++*count;
}

/**
 * cm_chunk_unhold() - undo cm_chunk_hold()
 * @chunk: the chunk, its lock held for writing
 * @count: the same member
 */
void cm_chunk_unhold(struct cm_chunk *chunk, u32 *count)
{
	--*count;
	if (!is_held(chunk))
		count_pinned(chunk, -(long)chunk->extent.count);
}
