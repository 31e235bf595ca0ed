/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Chunk: one physically contiguous allocation.
 */
#ifndef CM_CHUNK_H
#define CM_CHUNK_H

#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/uidgid.h>

#include "context.h"

struct dma_buf;
struct inode;

/**
 * struct cm_chunk - a chunk
 * @ref:     one for the dma-buf, one for the memory; one where it only stands for
 *           the place that another chunk moves to
 * @ctx:     its context; holds a reference on the context's device
 * @extent:  its page frames; linked as long as the memory is taken
 * @drain:   in &cm_context.drains once freed while in use by somebody, or spare
 * @drained: pages that nobody else holds any more, once freed
 * @stuck:   number of the last compaction that could not move it
 * @id:      number for humans and programs, never used twice
 * @align:   bytes
 * @uid:     user that asked for it
 * @pid:     process that asked for it, in the initial pid namespace
 * @comm:    name of that process
 * @dmabuf:  its dma-buf, which holds the chunk and not the other way round
 * @inode:   the dma-buf's, with a reference: whose mappings are the chunk's
 * @dma:     address as seen by &cm_context.dma_dev
 * @lock:    protects everything below; taken for reading to use the memory
 *           and for writing to change whether and how it may be used
 * @freed:   CM_IOC_FREE was called: descriptors and mappings are stale
 * @pins:    pins held by open files
 * @imports: drivers that are attached
 * @maps:    DMA and kernel mappings that drivers hold
 * @vaddr:   the kernel mapping for drivers, if any
 * @vmaps:   users of @vaddr
 * @attachments: list of &struct cm_attachment
 */
struct cm_chunk {
	struct kref ref;
	struct cm_context *ctx;
	struct cm_extent extent;
	struct list_head drain;
	unsigned long drained;
	u64 stuck;
	u64 id;
	u64 align;
	kuid_t uid;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	struct dma_buf *dmabuf;
	struct inode *inode;
	dma_addr_t dma;

	struct rw_semaphore lock;
	bool freed;
	u32 pins;
	u32 imports;
	u32 maps;
	void *vaddr;
	u32 vmaps;
	struct list_head attachments;
};

static inline size_t cm_chunk_size(const struct cm_chunk *chunk)
{
	return chunk->extent.count << PAGE_SHIFT;
}

/* Whether a driver, or somebody who was told its address, relies on its place. */
static inline bool cm_chunk_is_fixed(const struct cm_chunk *chunk)
{
	return READ_ONCE(chunk->pins) || READ_ONCE(chunk->maps);
}

static inline struct page *cm_chunk_page(const struct cm_chunk *chunk)
{
	return pfn_to_page(chunk->extent.start);
}

struct cm_chunk *cm_chunk_new(struct cm_context *ctx);
void cm_chunk_give_back(struct cm_chunk *chunk, int error);
struct dma_buf *cm_chunk_alloc(struct cm_context *ctx, struct cm_alloc *req);
int cm_chunk_free(struct cm_chunk *chunk);
void cm_chunk_abandon(struct cm_chunk *chunk);
void cm_chunk_put(struct cm_chunk *chunk);
int cm_chunk_info(struct cm_chunk *chunk, struct cm_info *info);

int cm_chunk_map_dma(struct cm_chunk *chunk, unsigned long start,
		     dma_addr_t *dma);
void cm_chunk_unmap_dma(struct cm_chunk *chunk, dma_addr_t dma);
void cm_chunk_change_dma(struct cm_chunk *chunk, dma_addr_t dma);
unsigned long cm_chunk_first_held(const struct cm_chunk *chunk,
				  unsigned long from);

void cm_chunk_hold(struct cm_chunk *chunk, u32 *count);
void cm_chunk_unhold(struct cm_chunk *chunk, u32 *count);

#endif /* CM_CHUNK_H */
