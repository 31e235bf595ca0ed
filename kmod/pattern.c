// SPDX-License-Identifier: GPL-2.0
/*
 * Pattern: filled and checked through the kernel's own mapping. For a chunk in
 * low memory that mapping is the linear one, so it walks physical addresses
 * from the chunk's first byte on, whatever the page tables of user space say.
 */
#include <linux/dma-buf.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include <uapi/linux/cm.h>

#include "compat.h"
#include "dmabuf.h"
#include "pattern.h"

#define PATTERN_CELL_WORDS	(CM_PATTERN_CELL / sizeof(u64))

/*
 * A dma-buf of another exporter is mapped as a whole, in address space that
 * 32-bit kernels have little of: one at a time.
 */
static DEFINE_MUTEX(pattern_mapping_lock);

/* One page. Return: whether to go on; @req says where it is not as expected. */
static bool pattern_words(struct cm_pattern *req, u64 *words, u64 offset,
			  bool fill)
{
	size_t i, count = min_t(u64, PAGE_SIZE, req->size - offset) / sizeof(u64);
	u64 seed = req->seed + offset / CM_PATTERN_CELL;

	for (i = 0; i < count; i++) {
		u64 expected = seed + i / PATTERN_CELL_WORDS;

		if (fill) {
			WRITE_ONCE(words[i], expected);
		} else if (READ_ONCE(words[i]) != expected) {
			req->expected = expected;
			req->actual = words[i];
			break;
		}
	}
	if (!fill)
		req->matched = offset + i * sizeof(u64);
	return i == count;
}

/*
 * Locked for one page at a time, and mapped for it if it is high memory: the
 * owner may free the chunk, and others may move it, in between.
 */
static int pattern_chunk_page(struct cm_pattern *req, struct cm_chunk *chunk,
			      u64 offset, bool fill)
{
	struct page *page;
	int ret = -ESTALE;

	down_read(&chunk->lock);
	if (!chunk->freed) {
		page = pfn_to_page(chunk->extent.start + (offset >> PAGE_SHIFT));
		if (PageHighMem(page)) {
			void *words = kmap_local_page(page);

			ret = pattern_words(req, words, offset, fill);
			flush_dcache_page(page);
			kunmap_local(words);
		} else {
			ret = pattern_words(req, page_address(cm_chunk_page(chunk)) +
						 offset, offset, fill);
			flush_dcache_page(page);
			req->found = CM_PATTERN_LINEAR;
		}
	}
	up_read(&chunk->lock);
	return ret;
}

/* @chunk is NULL for a dma-buf that is mapped at @vaddr. */
static int pattern_pass(struct cm_pattern *req, struct cm_chunk *chunk,
			void *vaddr, bool fill)
{
	u64 offset;
	int ret = 1;

	for (offset = 0; ret > 0 && offset < req->size; offset += PAGE_SIZE) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		if (chunk)
			ret = pattern_chunk_page(req, chunk, offset, fill);
		else
			ret = pattern_words(req, vaddr + offset, offset, fill);
	}
	return min(ret, 0);
}

static int pattern_run(struct cm_pattern *req, struct dma_buf *dmabuf,
		       void *vaddr)
{
	enum dma_data_direction direction = req->flags & CM_PATTERN_FILL ?
					    DMA_BIDIRECTIONAL : DMA_FROM_DEVICE;
	struct cm_chunk *chunk = cm_dmabuf_chunk(dmabuf);
	int ret, end;

	ret = dma_buf_begin_cpu_access(dmabuf, direction);
	if (ret)
		return ret;
	if (req->flags & CM_PATTERN_FILL)
		ret = pattern_pass(req, chunk, vaddr, true);
	if (!ret)
		ret = pattern_pass(req, chunk, vaddr, false);
	end = dma_buf_end_cpu_access(dmabuf, direction);
	return ret ?: end;
}

/* Mapped before the CPU's access begins: exporters flush the mapping then. */
static int pattern_import(struct cm_pattern *req, struct dma_buf *dmabuf)
{
	int ret = mutex_lock_killable(&pattern_mapping_lock);
	void *vaddr;

	if (ret)
		return ret;
	vaddr = cm_vmap(dmabuf);
	if (IS_ERR(vaddr)) {
		ret = PTR_ERR(vaddr);
	} else {
		ret = pattern_run(req, dmabuf, vaddr);
		if (!ret && virt_addr_valid(vaddr))
			req->found = CM_PATTERN_LINEAR;
		cm_vunmap(dmabuf, vaddr);
	}
	mutex_unlock(&pattern_mapping_lock);
	return ret;
}

/**
 * cm_pattern() - fill or check a dma-buf
 * @req: the request; output members zero
 *
 * Return: 0 whether or not the pattern is there, or as documented for
 * &struct cm_pattern.
 */
int cm_pattern(struct cm_pattern *req)
{
	struct dma_buf *dmabuf;
	int ret;

	if (req->flags & ~CM_PATTERN_FILL)
		return -EINVAL;
	dmabuf = dma_buf_get(req->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	req->size = dmabuf->size;
	if (!(dmabuf->file->f_mode & FMODE_READ) ||
	    (req->flags & CM_PATTERN_FILL &&
	     !(dmabuf->file->f_mode & FMODE_WRITE)))
		ret = -EACCES;
	else if (cm_dmabuf_chunk(dmabuf))
		ret = pattern_run(req, dmabuf, NULL);
	else
		ret = pattern_import(req, dmabuf);
	dma_buf_put(dmabuf);
	return ret;
}
