// SPDX-License-Identifier: GPL-2.0
/*
 * Pattern: filled and checked through the kernel's own mapping. For a chunk in
 * low memory that mapping is the linear one, so it walks physical addresses
 * from the chunk's first byte on, whatever the page tables of user space say.
 */
#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include <uapi/linux/cm.h>

#include "compat.h"
#include "pattern.h"

#define CELL_WORDS	(CM_PATTERN_CELL / sizeof(u64))

static int fill(u64 *words, size_t count, u64 seed)
{
	size_t i;

	for (i = 0; i < count; i += CELL_WORDS) {
		if (fatal_signal_pending(current))
			return -EINTR;
		memset64(words + i, seed++, min(count - i, CELL_WORDS));
		cond_resched();
	}
	return 0;
}

static int check(struct cm_pattern *req, const u64 *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		u64 expected = req->seed + i / CELL_WORDS;
		u64 actual = READ_ONCE(words[i]);

		if (actual != expected) {
			req->matched = i * sizeof(u64);
			req->expected = expected;
			req->actual = actual;
			return 0;
		}
		if (i % CELL_WORDS)
			continue;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	req->matched = req->size;
	return 0;
}

static int run(struct cm_pattern *req, struct dma_buf *dmabuf)
{
	size_t count = dmabuf->size / sizeof(u64);
	void *words = cm_vmap(dmabuf);
	int ret = 0;

	if (IS_ERR(words))
		return PTR_ERR(words);
	if (req->flags & CM_PATTERN_FILL)
		ret = fill(words, count, req->seed);
	if (!ret)
		ret = check(req, words, count);
	if (!ret && virt_addr_valid(words))
		req->found = CM_PATTERN_LINEAR;
	cm_vunmap(dmabuf, words);
	return ret;
}

static int run_synced(struct cm_pattern *req, struct dma_buf *dmabuf)
{
	enum dma_data_direction direction = req->flags & CM_PATTERN_FILL ?
					    DMA_BIDIRECTIONAL : DMA_FROM_DEVICE;
	int ret, end;

	ret = dma_buf_begin_cpu_access(dmabuf, direction);
	if (ret)
		return ret;
	req->size = dmabuf->size;
	ret = run(req, dmabuf);
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
		ret = run_synced(req, dmabuf);
	dma_buf_put(dmabuf);
	return ret;
}
