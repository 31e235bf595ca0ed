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

static void pattern_fill_words(u64 *words, size_t count, u64 seed)
{
	size_t i;

	for (i = 0; i < count; i += PATTERN_CELL_WORDS)
		memset64(words + i, seed++, min(count - i, PATTERN_CELL_WORDS));
}

/* Return: whether all are right; @req says where they are not. */
static bool pattern_check_words(struct cm_pattern *req, const u64 *words,
				size_t count, u64 seed)
{
	size_t i;

	for (i = 0; i < count; i++) {
		u64 expected = seed + i / PATTERN_CELL_WORDS;
		u64 actual = READ_ONCE(words[i]);

		if (actual == expected)
			continue;
		req->matched += i * sizeof(u64);
		req->expected = expected;
		req->actual = actual;
		return false;
	}
	req->matched += count * sizeof(u64);
	return true;
}

/**
 * struct pattern_part - a page's worth of a dma-buf
 * @words: where it is mapped
 * @count: of words
 * @seed:  of its first cell
 */
struct pattern_part {
	u64 *words;
	size_t count;
	u64 seed;
};

/* Return: whether to go on. */
typedef bool pattern_do(struct cm_pattern *req, const struct pattern_part *part);

static bool pattern_fill(struct cm_pattern *req, const struct pattern_part *part)
{
	pattern_fill_words(part->words, part->count, part->seed);
	return true;
}

static bool pattern_check(struct cm_pattern *req, const struct pattern_part *part)
{
	return pattern_check_words(req, part->words, part->count, part->seed);
}

static struct pattern_part pattern_part_at(const struct cm_pattern *req,
					   u64 offset)
{
	return (struct pattern_part){
		.count = min_t(u64, PAGE_SIZE, req->size - offset) / sizeof(u64),
		.seed = req->seed + offset / CM_PATTERN_CELL,
	};
}

/*
 * Locked for one page at a time, and mapped for it if it is high memory: the
 * owner may free the chunk, and others may move it, in between.
 */
static int pattern_chunk_page(struct cm_pattern *req, struct cm_chunk *chunk,
			      u64 offset, pattern_do *todo)
{
	struct pattern_part part = pattern_part_at(req, offset);
	unsigned long index = offset >> PAGE_SHIFT;
	struct page *page;
	int ret = -ESTALE;

	down_read(&chunk->lock);
	if (!chunk->freed) {
		page = pfn_to_page(chunk->extent.start + index);
		if (PageHighMem(page))
			part.words = kmap_local_page(page);
		else
			part.words = page_address(cm_chunk_page(chunk)) + offset;
		ret = todo(req, &part);
		flush_dcache_page(page);
		if (PageHighMem(page))
			kunmap_local(part.words);
		else
			req->found = CM_PATTERN_LINEAR;
	}
	up_read(&chunk->lock);
	return ret;
}

static int pattern_chunk_all(struct cm_pattern *req, struct cm_chunk *chunk,
			     pattern_do *todo)
{
	u64 offset;
	int ret = 1;

	for (offset = 0; ret > 0 && offset < req->size; offset += PAGE_SIZE) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		ret = pattern_chunk_page(req, chunk, offset, todo);
	}
	return min(ret, 0);
}

static int pattern_chunk(struct cm_pattern *req, struct cm_chunk *chunk)
{
	int ret = 0;

	if (req->flags & CM_PATTERN_FILL)
		ret = pattern_chunk_all(req, chunk, pattern_fill);
	if (!ret)
		ret = pattern_chunk_all(req, chunk, pattern_check);
	return ret;
}

static int pattern_mapped_all(struct cm_pattern *req, void *vaddr,
			      pattern_do *todo)
{
	u64 offset;

	for (offset = 0; offset < req->size; offset += PAGE_SIZE) {
		struct pattern_part part = pattern_part_at(req, offset);

		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		part.words = vaddr + offset;
		if (!todo(req, &part))
			break;
	}
	return 0;
}

static int pattern_mapped(struct cm_pattern *req, void *vaddr)
{
	int ret = 0;

	if (req->flags & CM_PATTERN_FILL)
		ret = pattern_mapped_all(req, vaddr, pattern_fill);
	if (!ret)
		ret = pattern_mapped_all(req, vaddr, pattern_check);
	if (!ret && virt_addr_valid(vaddr))
		req->found = CM_PATTERN_LINEAR;
	return ret;
}

/* Mapped before the CPU's access begins: exporters flush the mapping then. */
static int pattern_import(struct cm_pattern *req, struct dma_buf *dmabuf,
			  enum dma_data_direction direction)
{
	void *vaddr;
	int ret, end;

	ret = mutex_lock_killable(&pattern_mapping_lock);
	if (ret)
		return ret;
	vaddr = cm_vmap(dmabuf);
	if (IS_ERR(vaddr)) {
		ret = PTR_ERR(vaddr);
		goto unlock;
	}
	ret = dma_buf_begin_cpu_access(dmabuf, direction);
	if (!ret) {
		ret = pattern_mapped(req, vaddr);
		end = dma_buf_end_cpu_access(dmabuf, direction);
		ret = ret ?: end;
	}
	cm_vunmap(dmabuf, vaddr);
unlock:
	mutex_unlock(&pattern_mapping_lock);
	return ret;
}

static int pattern_dmabuf(struct cm_pattern *req, struct dma_buf *dmabuf)
{
	enum dma_data_direction direction = req->flags & CM_PATTERN_FILL ?
					    DMA_BIDIRECTIONAL : DMA_FROM_DEVICE;
	struct cm_chunk *chunk = cm_dmabuf_chunk(dmabuf);
	int ret, end;

	req->size = dmabuf->size;
	if (!chunk)
		return pattern_import(req, dmabuf, direction);
	ret = dma_buf_begin_cpu_access(dmabuf, direction);
	if (ret)
		return ret;
	ret = pattern_chunk(req, chunk);
	end = dma_buf_end_cpu_access(dmabuf, direction);
	return ret ?: end;
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

	if (!(dmabuf->file->f_mode & FMODE_READ) ||
	    (req->flags & CM_PATTERN_FILL &&
	     !(dmabuf->file->f_mode & FMODE_WRITE)))
		ret = -EACCES;
	else
		ret = pattern_dmabuf(req, dmabuf);
	dma_buf_put(dmabuf);
	return ret;
}
