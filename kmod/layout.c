// SPDX-License-Identifier: GPL-2.0
/*
 * Layout: which chunk lies where in a context.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "chunk.h"
#include "layout.h"

/* Chunks that may come up after they were counted. */
#define SLACK	16

/* Where the bank is anybody can read in the device tree. */
static void tell_place(struct cm_chunk *chunk, struct cm_layout_entry *entry)
{
	entry->offset = (u64)(chunk->extent.start - chunk->ctx->map.start)
			<< PAGE_SHIFT;
	entry->state |= CM_CHUNK_OFFSET;
}

static void describe(struct cm_chunk *chunk, struct cm_layout_entry *entry)
{
	entry->size = cm_chunk_size(chunk);
	entry->alignment = chunk->align;
	entry->id = chunk->id;
	entry->uid = from_kuid_munged(current_user_ns(), chunk->uid);
	entry->pid = chunk->pid;
	strscpy(entry->comm, chunk->comm, sizeof(entry->comm));
}

/* The lock keeps the dma-buf from going, and its name from being read half. */
static void describe_use(struct cm_chunk *chunk, struct cm_layout_entry *entry)
{
	struct dma_buf *dmabuf;

	down_read(&chunk->lock);
	dmabuf = chunk->dmabuf;
	entry->pins = chunk->pins;
	entry->imports = chunk->imports;
	entry->maps = chunk->maps;
	if (chunk->freed || !dmabuf) {
		entry->state |= CM_CHUNK_DRAINING;
	} else {
		spin_lock(&dmabuf->name_lock);
		if (dmabuf->name)
			strscpy(entry->name, dmabuf->name, sizeof(entry->name));
		spin_unlock(&dmabuf->name_lock);
	}
	up_read(&chunk->lock);
	if (cm_chunk_is_fixed(chunk))
		entry->state |= CM_CHUNK_FIXED;
}

/* What is being made, or given back this instant, is no chunk. */
static bool is_chunk(const struct cm_extent *extent)
{
	const struct cm_chunk *chunk = extent->owner;

	if (extent->spare)
		return false;
	return chunk->dmabuf || !list_empty(&chunk->drain);
}

static u32 count_all(struct cm_context *ctx)
{
	struct cm_extent *extent;
	u32 count = 0;

	mutex_lock(&ctx->lock);
	list_for_each_entry(extent, &ctx->map.extents, node)
		count += is_chunk(extent);
	mutex_unlock(&ctx->lock);
	return count;
}

/* Return: the number of chunks, of which at most @capacity were described. */
static u32 describe_all(struct cm_context *ctx, struct cm_layout_entry *entries,
			struct cm_chunk **chunks, u32 capacity)
{
	bool places = capable(CAP_SYS_RAWIO);
	struct cm_extent *extent;
	u32 count = 0;

	mutex_lock(&ctx->lock);
	list_for_each_entry(extent, &ctx->map.extents, node) {
		struct cm_chunk *chunk = extent->owner;

		if (!is_chunk(extent))
			continue;
		if (count < capacity) {
			kref_get(&chunk->ref);
			chunks[count] = chunk;
			describe(chunk, &entries[count]);
			if (places)
				tell_place(chunk, &entries[count]);
		}
		count++;
	}
	mutex_unlock(&ctx->lock);
	return count;
}

static int tell(struct cm_context *ctx, struct cm_layout *req,
		struct cm_layout_entry *entries, struct cm_chunk **chunks,
		u32 capacity)
{
	u32 i, told;

	req->count = describe_all(ctx, entries, chunks, capacity);
	told = min(req->count, capacity);
	for (i = 0; i < told; i++) {
		describe_use(chunks[i], &entries[i]);
		cm_chunk_put(chunks[i]);
	}
	if (copy_to_user(u64_to_user_ptr(req->entries), entries,
			 told * sizeof(*entries)))
		return -EFAULT;
	return 0;
}

/**
 * cm_layout() - tell which chunk lies where
 * @ctx: the context
 * @req: the request; its output members are filled in
 *
 * Return: 0, EFAULT or ENOMEM.
 */
int cm_layout(struct cm_context *ctx, struct cm_layout *req)
{
	u32 capacity = min3(req->capacity, count_all(ctx) + SLACK,
			    (u32)CM_LAYOUT_MAX_ENTRIES);
	struct cm_layout_entry *entries;
	struct cm_chunk **chunks;
	int ret = -ENOMEM;

	/* One more, because nothing is not a size. */
	entries = kvcalloc(capacity + 1, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	chunks = kvcalloc(capacity + 1, sizeof(*chunks), GFP_KERNEL_ACCOUNT);
	if (entries && chunks)
		ret = tell(ctx, req, entries, chunks, capacity);
	kvfree(chunks);
	kvfree(entries);
	return ret;
}
