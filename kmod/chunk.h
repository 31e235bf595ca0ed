/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Chunk: one physically contiguous allocation.
 */
#ifndef CM_CHUNK_H
#define CM_CHUNK_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>

#include "context.h"
#include "owner.h"

struct dma_buf;
struct inode;

/* Moving a chunk removes its mappings one by one: with more it stays. */
#define CM_CHUNK_MAX_MAPPINGS	64

/**
 * struct cm_chunk - a chunk
 * @ref:      one for the dma-buf, one for the memory, one for each that works
 *            on it. With the first one come references on the context's device
 *            and on the module
 * @ctx:      its context
 * @id:       number for humans and programs, never used twice
 * @align:    page frames
 * @charged:  page frames that the owner is charged for, 0 when no more
 * @owner:    whose it is
 * @mappings: of user space
 * @stuck:    &cm_context.compactions when one last could not move it; for
 *            &cm_context.queue only
 * @drain:    in &cm_context.drains
 * @drained:  pages that nobody else holds any more, once freed
 * @lock:     taken for reading to use the memory and for writing to change
 *            whether and how it may be used. What is below is changed with
 *            this and the context's lock, so that either suffices to read it
 * @extent:   where it is; linked as long as it has memory
 * @freed:    its memory is on its way back, or gone: descriptors and mappings
 *            are stale, and it is moved no more
 * @pins:     pins held by open files
 * @imports:  drivers that are attached
 * @maps:     DMA and kernel mappings that drivers hold
 * @dmabuf:   its dma-buf, which holds the chunk and not the other way round
 * @inode:    the dma-buf's, with a reference: its mappings are the chunk's
 * @vaddr:    the kernel mapping for drivers, if any, which the kernel asks for
 *            once at a time; for @lock alone
 * @blank:    the page that @vaddr is made of, if the chunk was freed before
 */
struct cm_chunk {
	struct kref ref;
	struct cm_context *ctx;
	u64 id;
	unsigned long align;
	unsigned long charged;
	struct cm_owner owner;
	atomic_t mappings;
	u64 stuck;
	struct list_head drain;
	unsigned long drained;
	/** @sync_lock: for one cm_sync() at a time; after @lock */
	struct mutex sync_lock;

	struct rw_semaphore lock;
	struct cm_extent extent;
	bool freed;
	u32 pins;
	u32 imports;
	u32 maps;
	struct dma_buf *dmabuf;
	struct inode *inode;
	void *vaddr;
	struct page *blank;
};

static inline size_t cm_chunk_size(const struct cm_chunk *chunk)
{
	return chunk->extent.count << PAGE_SHIFT;
}

/* Whether a driver, or a device that got its address, relies on its place. */
static inline bool cm_chunk_is_fixed(const struct cm_chunk *chunk)
{
	return chunk->pins || chunk->maps ||
	       atomic_read(&chunk->mappings) > CM_CHUNK_MAX_MAPPINGS;
}

/*
 * Whether a device may have it, and its caches matter. Not by a kernel mapping,
 * of which there is one at a time: that is the CPU's.
 */
static inline bool cm_chunk_is_handed_over(const struct cm_chunk *chunk)
{
	return chunk->pins || chunk->maps > !!chunk->vaddr;
}

static inline struct page *cm_chunk_page(const struct cm_chunk *chunk)
{
	return pfn_to_page(chunk->extent.start);
}

static inline bool cm_chunk_has_memory(const struct cm_chunk *chunk)
{
	return !list_empty(&chunk->extent.node);
}

struct cm_chunk *cm_chunk_new(struct cm_context *ctx,
			      const struct cm_owner *owner, unsigned long align);
void cm_chunk_get(struct cm_chunk *chunk);
void cm_chunk_put(struct cm_chunk *chunk);
bool cm_chunk_belongs_to(const struct cm_chunk *chunk,
			 const struct cm_owner *owner);
int cm_chunk_info(struct cm_chunk *chunk, struct cm_info *info);

void cm_chunk_discard(struct cm_chunk *chunk);
bool cm_chunk_retire(struct cm_chunk *chunk);
void cm_chunk_abandon(struct cm_chunk *chunk);
void cm_chunk_release(struct cm_chunk *chunk);
unsigned long cm_chunk_first_held(const struct cm_chunk *chunk,
				  unsigned long from);
void cm_chunk_drain_work(struct work_struct *work);
void cm_chunk_drain(struct cm_context *ctx);

void cm_chunk_hold(struct cm_chunk *chunk, u32 *count);
void cm_chunk_unhold(struct cm_chunk *chunk, u32 *count);

void cm_chunk_sync(struct cm_chunk *chunk, bool for_cpu);

#endif /* CM_CHUNK_H */
