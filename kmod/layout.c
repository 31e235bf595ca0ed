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

/* Chunks that may come after they were counted. */
#define LAYOUT_SLACK	16

/**
 * struct layout_view - who looks, and what they may see
 * @caller:    who opened the node
 * @ns:        whose numbers of users they know
 * @all:       they may see who has the others' chunks
 * @addresses: they may learn physical addresses; anybody can read in the device
 *             tree where the bank is
 */
struct layout_view {
	const struct cm_owner *caller;
	struct user_namespace *ns;
	bool all;
	bool addresses;
};

/* The context's lock keeps the dma-buf from going. */
static void layout_describe_name(const struct cm_chunk *chunk,
				 struct cm_layout_entry *entry)
{
	struct dma_buf *dmabuf = chunk->dmabuf;

	if (!dmabuf)
		return;
	spin_lock(&dmabuf->name_lock);
	if (dmabuf->name)
		strscpy(entry->name, dmabuf->name, sizeof(entry->name));
	spin_unlock(&dmabuf->name_lock);
}

static void layout_describe(const struct cm_chunk *chunk,
			    const struct layout_view *view,
			    struct cm_layout_entry *entry)
{
	entry->size = cm_chunk_size(chunk);
	entry->alignment = (u64)chunk->align << PAGE_SHIFT;
	entry->id = chunk->id;
	entry->pins = chunk->pins;
	entry->imports = chunk->imports;
	entry->maps = chunk->maps;
	entry->uid = from_kuid_munged(view->ns, chunk->owner.uid);
	if (cm_chunk_is_fixed(chunk))
		entry->state |= CM_CHUNK_FIXED;
	if (chunk->freed || !chunk->dmabuf)
		entry->state |= CM_CHUNK_DRAINING;
	if (view->addresses) {
		entry->offset = (u64)(chunk->extent.start -
				      chunk->ctx->pool.map.start) << PAGE_SHIFT;
		entry->state |= CM_CHUNK_OFFSET;
	}
	if (!view->all && !uid_eq(chunk->owner.uid, view->caller->uid)) {
		entry->state |= CM_CHUNK_HIDDEN;
		return;
	}
	entry->pid = chunk->owner.pid;
	strscpy(entry->comm, chunk->owner.comm, sizeof(entry->comm));
	layout_describe_name(chunk, entry);
}

/* What is being made, or on its way back, is no chunk. */
static bool layout_shows(const struct cm_extent *extent)
{
	const struct cm_chunk *chunk = extent->owner;

	return !extent->reserved && (chunk->dmabuf || !list_empty(&chunk->drain));
}

/* Return: the number of chunks, of which at most @capacity were described. */
static u32 layout_describe_all(struct cm_context *ctx,
			       const struct layout_view *view,
			       struct cm_layout_entry *entries, u32 capacity)
{
	struct cm_extent *extent;
	u32 count = 0;

	cm_context_lock(ctx);
	list_for_each_entry(extent, &ctx->pool.map.extents, node) {
		if (!layout_shows(extent))
			continue;
		if (count < capacity)
			layout_describe(extent->owner, view, &entries[count]);
		count++;
	}
	cm_context_unlock(ctx);
	return count;
}

static u32 layout_most(struct cm_context *ctx)
{
	u32 count;

	cm_context_lock(ctx);
	count = ctx->pool.map.extent_count;
	cm_context_unlock(ctx);
	return count + LAYOUT_SLACK;
}

/**
 * cm_layout() - describe which chunk lies where
 * @ctx:    the context
 * @caller: who opened the node
 * @req:    the request; its output members are filled in
 *
 * Waits for nobody.
 *
 * Return: 0, EFAULT or ENOMEM.
 */
int cm_layout(struct cm_context *ctx, const struct cm_owner *caller,
	      struct cm_layout *req)
{
	u32 capacity = min3(req->capacity, layout_most(ctx),
			    (u32)CM_LAYOUT_MAX_ENTRIES);
	const struct layout_view view = {
		.caller = caller,
		.ns = current_user_ns(),
		.all = capable(CAP_SYS_ADMIN),
		.addresses = capable(CAP_SYS_RAWIO),
	};
	struct cm_layout_entry *entries;
	int ret = 0;

	/* One more, because nothing is not a size. */
	entries = kvcalloc(capacity + 1, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	req->count = layout_describe_all(ctx, &view, entries, capacity);
	if (copy_to_user(u64_to_user_ptr(req->entries), entries,
			 min(req->count, capacity) * sizeof(*entries)))
		ret = -EFAULT;
	kvfree(entries);
	return ret;
}
