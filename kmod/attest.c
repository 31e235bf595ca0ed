// SPDX-License-Identifier: GPL-2.0
/*
 * Attestation: two devices of our own import the dma-buf. One reaches every
 * address, so what it sees is where the memory is; the other has the mask
 * that the caller asks about. Where the two disagree, the DMA API put a bounce
 * buffer in between. Neither is behind an IOMMU, so that a DMA address is a
 * physical one.
 *
 * The scatterlist's pages are not looked at: exporters may hide them.
 */
#include <linux/capability.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/uaccess.h>

#include <uapi/linux/cm.h>

#include "attest.h"
#include "context.h"

static struct platform_device *wide;
static struct platform_device *narrow;
/* One attestation at a time: the mask of @narrow is the caller's. */
static DEFINE_MUTEX(attest_lock);

static struct platform_device *register_witness(int id)
{
	struct platform_device *pdev;

	pdev = platform_device_register_full(&(struct platform_device_info){
		.name = "cm-witness",
		.id = id,
		.dma_mask = DMA_BIT_MASK(64),
	});
	if (!IS_ERR(pdev))
		dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	return pdev;
}

/**
 * cm_attest_init() - register the two devices
 *
 * Return: 0 or an error.
 */
int cm_attest_init(void)
{
	wide = register_witness(0);
	if (IS_ERR(wide))
		return PTR_ERR(wide);
	narrow = register_witness(1);
	if (IS_ERR(narrow)) {
		platform_device_unregister(wide);
		return PTR_ERR(narrow);
	}
	return 0;
}

/**
 * cm_attest_exit() - unregister the two devices
 */
void cm_attest_exit(void)
{
	platform_device_unregister(narrow);
	platform_device_unregister(wide);
}

/**
 * struct view - a dma-buf as one device sees it
 * @attach: the attachment
 * @table:  the mapping
 */
struct view {
	struct dma_buf_attachment *attach;
	struct sg_table *table;
};

/*
 * Mapped for reading: that writes back what the CPU has in its caches and
 * discards nothing, so that the buffer's users notice nothing.
 */
static int open_view(struct view *view, struct dma_buf *dmabuf,
		     struct platform_device *pdev)
{
	view->attach = dma_buf_attach(dmabuf, &pdev->dev);
	if (IS_ERR(view->attach))
		return PTR_ERR(view->attach);
	view->table = dma_buf_map_attachment_unlocked(view->attach,
						      DMA_TO_DEVICE);
	if (IS_ERR(view->table)) {
		dma_buf_detach(dmabuf, view->attach);
		return PTR_ERR(view->table);
	}
	return 0;
}

static void close_view(struct view *view, struct dma_buf *dmabuf)
{
	dma_buf_unmap_attachment_unlocked(view->attach, view->table,
					  DMA_TO_DEVICE);
	dma_buf_detach(dmabuf, view->attach);
}

/**
 * struct survey - runs as they are found
 * @req:       the request; counts and @found are kept up to date
 * @run:       the run under construction
 * @addresses: the caller may see addresses
 * @same_bank: every run so far lies in the bank of @context
 * @context:   name of the context whose bank that is
 */
struct survey {
	struct cm_attest *req;
	struct cm_run run;
	bool addresses;
	bool same_bank;
	char context[CM_NAME_LEN];
};

static int store_run(struct survey *survey)
{
	struct cm_run __user *runs = u64_to_user_ptr(survey->req->runs);
	struct cm_run run = survey->run;
	char context[CM_NAME_LEN] = "";

	survey->same_bank = survey->same_bank &&
		cm_context_holding(run.address, run.address + run.length,
				   context) &&
		(!survey->req->run_count || !strcmp(context, survey->context));
	memcpy(survey->context, context, sizeof(context));
	survey->req->longest_run = max(survey->req->longest_run, run.length);

	if (!survey->addresses)
		run.address = 0;
	if (survey->req->run_count < survey->req->runs_capacity &&
	    copy_to_user(&runs[survey->req->run_count], &run, sizeof(run)))
		return -EFAULT;
	survey->req->run_count++;
	return 0;
}

static int survey_table(struct survey *survey, struct sg_table *table)
{
	struct cm_run *run = &survey->run;
	struct scatterlist *sg;
	unsigned int i;
	int ret;

	for_each_sgtable_dma_sg(table, sg, i) {
		phys_addr_t phys = dma_to_phys(&wide->dev, sg_dma_address(sg));

		if (run->length && phys != run->address + run->length) {
			ret = store_run(survey);
			if (ret)
				return ret;
			run->offset += run->length;
			run->length = 0;
		}
		if (!run->length)
			run->address = phys;
		run->length += sg_dma_len(sg);
	}
	return run->length ? store_run(survey) : 0;
}

/* The entries may be cut differently, so compare byte ranges, not entries. */
static bool same_addresses(struct sg_table *a, struct sg_table *b)
{
	struct scatterlist *sa = a->sgl, *sb = b->sgl;
	unsigned int ia = 0, ib = 0, oa = 0, ob = 0;

	while (ia < a->nents && ib < b->nents) {
		unsigned int step = min(sg_dma_len(sa) - oa, sg_dma_len(sb) - ob);

		if (dma_to_phys(&wide->dev, sg_dma_address(sa) + oa) !=
		    dma_to_phys(&narrow->dev, sg_dma_address(sb) + ob))
			return false;
		oa += step;
		ob += step;
		if (oa == sg_dma_len(sa)) {
			oa = 0;
			ia++;
			sa = sg_next(sa);
		}
		if (ob == sg_dma_len(sb)) {
			ob = 0;
			ib++;
			sb = sg_next(sb);
		}
	}
	return true;
}

static u32 test_mask(struct dma_buf *dmabuf, struct sg_table *truth, u32 bits)
{
	struct view view;
	u32 found = 0;

	if (dma_set_mask_and_coherent(&narrow->dev, DMA_BIT_MASK(bits)))
		return CM_ATTEST_UNREACHABLE;
	if (open_view(&view, dmabuf, narrow))
		return CM_ATTEST_UNREACHABLE;
	if (!same_addresses(truth, view.table))
		found = CM_ATTEST_BOUNCED;
	close_view(&view, dmabuf);
	return found;
}

static int attest(struct cm_attest *req, struct dma_buf *dmabuf)
{
	struct survey survey = {
		.req = req,
		.addresses = capable(CAP_SYS_RAWIO),
		.same_bank = true,
	};
	struct view view;
	int ret;

	ret = open_view(&view, dmabuf, wide);
	if (ret)
		return ret;

	req->size = dmabuf->size;
	ret = survey_table(&survey, view.table);
	if (!ret)
		req->found |= test_mask(dmabuf, view.table, req->dma_bits);
	close_view(&view, dmabuf);

	if (survey.addresses)
		req->found |= CM_ATTEST_ADDRESSES;
	if (survey.same_bank && req->run_count) {
		req->found |= CM_ATTEST_IN_BANK;
		strscpy(req->context, survey.context, sizeof(req->context));
	}
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

	ret = mutex_lock_killable(&attest_lock);
	if (!ret) {
		ret = attest(req, dmabuf);
		mutex_unlock(&attest_lock);
	}
	dma_buf_put(dmabuf);
	return ret;
}
