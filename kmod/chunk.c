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
#include <linux/slab.h>

#include "chunk.h"
#include "deadline.h"
#include "dmabuf.h"
#include "drain.h"
#include "search.h"
#include "trace.h"

static atomic64_t last_id = ATOMIC64_INIT(0);

static int zero_pages(unsigned long start, unsigned long count, u64 deadline)
{
	unsigned long i;
	int ret = 0;

	for (i = 0; i < count && !ret; i++) {
		clear_highpage(pfn_to_page(start + i));
		cond_resched();
		if (i % CM_DEADLINE_PAGES == 0)
			ret = cm_deadline_check(deadline);
	}
	return ret;
}

/**
 * cm_chunk_map_dma() - map a place for the context's own device
 * @chunk: the chunk that is, or will be, there
 * @start: first page frame number
 * @dma:   set to the address as seen by the device
 *
 * The mapping lives as long as the memory: it is what CPU access is synced for
 * when no driver has imported the chunk.
 *
 * Return: 0 or ENOMEM.
 */
int cm_chunk_map_dma(struct cm_chunk *chunk, unsigned long start,
		     dma_addr_t *dma)
{
	struct device *dev = chunk->ctx->dma_dev;

	*dma = dma_map_page_attrs(dev, pfn_to_page(start), 0,
				  cm_chunk_size(chunk), DMA_BIDIRECTIONAL,
				  DMA_ATTR_SKIP_CPU_SYNC);
	return dma_mapping_error(dev, *dma) ? -ENOMEM : 0;
}

/**
 * cm_chunk_unmap_dma() - undo cm_chunk_map_dma()
 * @chunk: the chunk
 * @dma:   the address
 */
void cm_chunk_unmap_dma(struct cm_chunk *chunk, dma_addr_t dma)
{
	dma_unmap_page_attrs(chunk->ctx->dma_dev, dma, cm_chunk_size(chunk),
			     DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
}

/* The first one brings the zeros out of the caches. */
static void write_back(struct cm_chunk *chunk)
{
	dma_sync_single_for_device(chunk->ctx->dma_dev, chunk->dma,
				   cm_chunk_size(chunk), DMA_BIDIRECTIONAL);
}

/**
 * cm_chunk_change_dma() - let go of the old place and write back the new one
 * @chunk: the chunk, its lock held for writing, with its new place
 * @dma:   from cm_chunk_map_dma() for that place
 */
void cm_chunk_change_dma(struct cm_chunk *chunk, dma_addr_t dma)
{
	cm_chunk_unmap_dma(chunk, chunk->dma);
	chunk->dma = dma;
	write_back(chunk);
}

/**
 * cm_chunk_new() - make a chunk that has no memory yet
 * @ctx: the context
 *
 * Return: the chunk, the caller's to put; NULL when there is no memory for it.
 */
struct cm_chunk *cm_chunk_new(struct cm_context *ctx)
{
	struct cm_chunk *chunk = kzalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);

	if (!chunk)
		return NULL;
	kref_init(&chunk->ref);
	chunk->ctx = ctx;
	chunk->extent.owner = chunk;
	INIT_LIST_HEAD(&chunk->extent.node);
	get_device(&ctx->dev);
	INIT_LIST_HEAD(&chunk->drain);
	INIT_LIST_HEAD(&chunk->attachments);
	init_rwsem(&chunk->lock);
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

/**
 * cm_chunk_put() - let go of a reference on the structure
 * @chunk: the chunk
 */
void cm_chunk_put(struct cm_chunk *chunk)
{
	kref_put(&chunk->ref, delete_chunk);
}

/**
 * cm_chunk_give_back() - give back what was taken for a chunk's place
 * @chunk: the chunk, whose extent is taken or not
 * @error: what the caller failed with, or 0
 *
 * Whoever has no time left does not wait for this, either.
 */
void cm_chunk_give_back(struct cm_chunk *chunk, int error)
{
	if (!cm_extent_is_taken(&chunk->extent))
		return;
	if (cm_deadline_is_over(error) && !chunk->ctx->private)
		cm_drain_spare(chunk);
	else
		cm_search_give(chunk->ctx, &chunk->extent);
}

static int fill_chunk(struct cm_chunk *chunk, struct cm_search *search)
{
	int ret;

	chunk->id = atomic64_inc_return(&last_id);
	chunk->align = (u64)search->align << PAGE_SHIFT;
	ret = cm_search_take(search, &chunk->extent);
	if (ret)
		goto give;

	ret = zero_pages(chunk->extent.start, chunk->extent.count,
			 search->deadline);
	if (ret)
		goto give;
	ret = cm_chunk_map_dma(chunk, chunk->extent.start, &chunk->dma);
	if (ret)
		goto give;
	write_back(chunk);
	ret = cm_dmabuf_export(chunk);
	if (ret)
		goto unmap;
	return 0;

unmap:
	cm_chunk_unmap_dma(chunk, chunk->dma);
give:
	cm_chunk_give_back(chunk, ret);
	return ret;
}

static void report(struct cm_search *search, struct cm_alloc *req,
		   enum cm_reason reason, u64 ns)
{
	struct cm_context *ctx = search->ctx;

	mutex_lock(&ctx->lock);
	if (reason)
		cm_stats_failure(&ctx->stats, reason, search->retries);
	else
		cm_stats_success(&ctx->stats, req->size, ns, search->retries);
	ctx->chunks += !reason;
	cm_context_room(ctx, &req->free, &req->largest_hole);
	mutex_unlock(&ctx->lock);
	req->quota = search->quota;
	req->used = search->used;
	req->retries = search->retries;
	req->reason = reason;
}

/**
 * cm_chunk_alloc() - allocate zeroed, contiguous memory
 * @ctx: the context
 * @req: the request; its output members but @fd are filled in
 *
 * Sleeps.
 *
 * Return: the chunk's dma-buf, the caller's, with the only reference; or an
 * ERR_PTR() as documented for &struct cm_alloc.
 */
struct dma_buf *cm_chunk_alloc(struct cm_context *ctx, struct cm_alloc *req)
{
	struct cm_search search;
	struct cm_chunk *chunk = NULL;
	u64 ns, begin = ktime_get_ns();
	enum cm_reason reason;
	int ret;

	ret = cm_search_init(&search, ctx, req);
	if (!ret) {
		chunk = cm_chunk_new(ctx);
		ret = chunk ? fill_chunk(chunk, &search) : -ENOMEM;
	}
	reason = cm_search_reason(&search, ret);
	if (!reason) {
		req->size = cm_chunk_size(chunk);
		req->alignment = chunk->align;
		req->id = chunk->id;
	}
	ns = ktime_get_ns() - begin;
	report(&search, req, reason, ns);
	trace_cm_alloc(ctx, req, ns);
	if (!reason)
		return chunk->dmabuf;
	if (chunk)
		cm_chunk_put(chunk);
	/* Memory for a file is short, or the table of open files is full. */
	return ERR_PTR(ret == -ENFILE ? ret : cm_search_errno(reason));
}

static void release_memory(struct cm_chunk *chunk)
{
	struct cm_context *ctx = chunk->ctx;

	trace_cm_free(chunk);
	cm_chunk_unmap_dma(chunk, chunk->dma);
	mutex_lock(&ctx->lock);
	ctx->chunks--;
	mutex_unlock(&ctx->lock);
	cm_drain(chunk);
}

/**
 * cm_chunk_free() - give a chunk's memory back before its descriptors go
 * @chunk: the chunk
 *
 * Return: 0, ESTALE when that was done before, EBUSY when it is in use.
 */
int cm_chunk_free(struct cm_chunk *chunk)
{
	int ret = 0;

	down_write(&chunk->lock);
	if (chunk->freed)
		ret = -ESTALE;
	else if (chunk->pins || chunk->imports || chunk->maps)
		ret = -EBUSY;
	if (!ret) {
		chunk->freed = true;
		cm_dmabuf_unmap_users(chunk);
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
		cm_chunk_put(chunk);
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

/**
 * cm_chunk_first_held() - find a page that somebody else holds
 * @chunk: a chunk without any mapping
 * @from:  index of the page to begin with
 *
 * Somebody else may hold references on pages: an O_DIRECT transfer that is
 * under way outlives both the mapping and the descriptor.
 *
 * Return: the index of the page, or the number of pages when there is none.
 */
unsigned long cm_chunk_first_held(const struct cm_chunk *chunk,
				  unsigned long from)
{
	const struct cm_extent *extent = &chunk->extent;

	while (from < extent->count &&
	       page_count(pfn_to_page(extent->start + from)) == 1)
		from++;
	return from;
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
	if (!cm_chunk_is_fixed(chunk))
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
	if (!cm_chunk_is_fixed(chunk))
		count_pinned(chunk, -(long)chunk->extent.count);
}
