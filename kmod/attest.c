// SPDX-License-Identifier: GPL-2.0
/*
 * Attestation: the module's own device, which reaches every address and is
 * behind no IOMMU, imports the dma-buf, so the DMA addresses that it is given
 * are where the memory is. The scatterlist's pages are not looked at: exporters
 * may hide them. Of a chunk the module knows it: that imports nothing, and does
 * not keep the owner from freeing it.
 *
 * What a device with a narrower mask would get is computed, not tried: trying
 * would eat up bounce buffers that real devices need, and could make an exporter
 * copy a bounce buffer over its live memory.
 */
#include <linux/capability.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include <uapi/linux/cm.h>

#include "attest.h"
#include "compat.h"
#include "context.h"
#include "dmabuf.h"
#include "sync.h"

/**
 * struct survey - runs as they are found
 * @req:       the request; counts and @found are kept up to date
 * @runs:      where runs are stored
 * @capacity:  how many fit
 * @run:       the run under construction
 * @same_bank: every run so far lies in the bank of @context
 * @context:   name of the context whose bank that is
 */
struct survey {
	struct cm_attest *req;
	struct cm_run *runs;
	u32 capacity;
	struct cm_run run;
	bool same_bank;
	char context[CM_NAME_LEN];
};

static void attest_end_run(struct survey *survey)
{
	struct cm_attest *req = survey->req;
	struct cm_run *run = &survey->run;
	u64 last = run->address + run->length - 1;
	char context[CM_NAME_LEN] = "";

	if (!run->length)
		return;
	survey->same_bank = survey->same_bank &&
		cm_context_holding(run->address, last, context) &&
		(!req->run_count || !strcmp(context, survey->context));
	memcpy(survey->context, context, sizeof(context));

	req->longest_run = max(req->longest_run, run->length);
	if (last > DMA_BIT_MASK(req->dma_bits))
		req->found |= CM_ATTEST_BOUNCED;
	if (req->run_count < survey->capacity)
		survey->runs[req->run_count] = *run;
	req->run_count++;
	run->offset += run->length;
	run->length = 0;
}

static int attest_table(struct survey *survey, struct sg_table *table)
{
	struct cm_run *run = &survey->run;
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(table, sg, i) {
		phys_addr_t phys = dma_to_phys(cm_sync_device(), sg_dma_address(sg));

		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		if (phys != run->address + run->length)
			attest_end_run(survey);
		if (!run->length)
			run->address = phys;
		run->length += sg_dma_len(sg);
	}
	attest_end_run(survey);
	return 0;
}

static int attest_chunk(struct survey *survey, struct cm_chunk *chunk)
{
	bool freed;

	cm_context_lock(chunk->ctx);
	freed = chunk->freed;
	survey->run.address = page_to_phys(cm_chunk_page(chunk));
	survey->run.length = cm_chunk_size(chunk);
	cm_context_unlock(chunk->ctx);
	if (freed)
		return -ESTALE;
	attest_end_run(survey);
	return 0;
}

/*
 * Mapped for reading: that writes back what the CPU has in its caches and
 * discards nothing, so that the buffer's users notice nothing.
 */
static int attest_import(struct survey *survey, struct dma_buf *dmabuf)
{
	struct dma_buf_attachment *attach;
	struct sg_table *table;
	int ret = 0;

	attach = dma_buf_attach(dmabuf, cm_sync_device());
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	table = dma_buf_map_attachment_unlocked(attach, DMA_TO_DEVICE);
	if (IS_ERR(table)) {
		ret = PTR_ERR(table);
	} else {
		ret = attest_table(survey, table);
		dma_buf_unmap_attachment_unlocked(attach, table, DMA_TO_DEVICE);
	}
	dma_buf_detach(dmabuf, attach);
	return ret;
}

static void attest_conclude(const struct survey *survey)
{
	struct cm_attest *req = survey->req;

	if (capable(CAP_SYS_RAWIO))
		req->found |= CM_ATTEST_ADDRESSES;
	if (survey->same_bank && survey->run.offset == req->size) {
		req->found |= CM_ATTEST_IN_BANK;
		strscpy(req->context, survey->context, sizeof(req->context));
	}
}

/* After the attachment is gone: user memory may take its time to answer. */
static int attest_store_runs(const struct survey *survey)
{
	struct cm_attest *req = survey->req;
	u32 i, count = min(req->run_count, survey->capacity);

	if (!(req->found & CM_ATTEST_ADDRESSES))
		for (i = 0; i < count; i++)
			survey->runs[i].address = 0;
	if (copy_to_user(u64_to_user_ptr(req->runs), survey->runs,
			 count * sizeof(*survey->runs)))
		return -EFAULT;
	return 0;
}

static int attest_dmabuf(struct cm_attest *req, struct dma_buf *dmabuf)
{
	struct cm_chunk *chunk = cm_dmabuf_chunk(dmabuf);
	struct survey survey = {
		.req = req,
		.capacity = min3((u64)req->runs_capacity, (u64)CM_ATTEST_MAX_RUNS,
				 (u64)dmabuf->size >> PAGE_SHIFT),
		.same_bank = true,
	};
	int ret;

	survey.runs = kvcalloc(max(survey.capacity, 1U), sizeof(*survey.runs),
			       GFP_KERNEL_ACCOUNT);
	if (!survey.runs)
		return -ENOMEM;
	req->size = dmabuf->size;
	ret = chunk ? attest_chunk(&survey, chunk) :
		      attest_import(&survey, dmabuf);
	if (!ret) {
		attest_conclude(&survey);
		ret = attest_store_runs(&survey);
	}
	kvfree(survey.runs);
	return ret;
}

/**
 * cm_attest() - report where a dma-buf's memory lies
 * @req: the request, its flags checked; output members zero
 *
 * Return: 0, or as documented for &struct cm_attest.
 */
int cm_attest(struct cm_attest *req)
{
	struct dma_buf *dmabuf;
	int ret;

	if (!req->dma_bits || req->dma_bits > 64 ||
	    (req->runs_capacity && !req->runs))
		return -EINVAL;
	dmabuf = dma_buf_get(req->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = attest_dmabuf(req, dmabuf);
	dma_buf_put(dmabuf);
	return ret;
}
