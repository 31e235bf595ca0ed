// SPDX-License-Identifier: GPL-2.0
/*
 * Reach: whether a driver's device accesses a chunk itself. One that does not
 * gets a bounce buffer from the DMA API, which nobody would ever copy from or
 * to: importers share a chunk because they see the same memory.
 */
#include <linux/device.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/scatterlist.h>

#include "chunk.h"
#include "context.h"
#include "reach.h"

/* An IOMMU that translates lets its devices reach everything. */
static bool reach_is_translated(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && domain->type != IOMMU_DOMAIN_IDENTITY;
}

static void reach_warn(const struct cm_chunk *chunk, struct device *dev,
		       const char *advice)
{
	const struct cm_bank *bank = &chunk->ctx->pool.bank;
	phys_addr_t first = PFN_PHYS(bank->start);
	phys_addr_t last = PFN_PHYS(bank->start + bank->count) - 1;
	u64 limit = min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);

	dev_warn_ratelimited(dev,
			     "import of chunk %llu refused: context \"%s\" lies at %pa to %pa, this device's DMA mask reaches %#llx; %s\n",
			     chunk->id, dev_name(&chunk->ctx->dev), &first,
			     &last, limit, advice);
}

/* Its ends are looked at: a hole in the ranges between them is not seen. */
static bool reach_is_one_range(struct device *dev, phys_addr_t phys, size_t size)
{
	return phys_to_dma(dev, phys + size - 1) ==
	       phys_to_dma(dev, phys) + size - 1;
}

/**
 * cm_reach_check() - refuse a chunk that a device does not reach
 * @chunk: the chunk, its place fixed
 * @dev:   the device that is to import it
 *
 * Asked before mapping: the DMA API would look for a bounce buffer, and call it
 * a lack of these when the chunk is larger than one can be.
 *
 * Return: 0, or EIO, and the kernel log says why.
 */
int cm_reach_check(const struct cm_chunk *chunk, struct device *dev)
{
	phys_addr_t phys = page_to_phys(cm_chunk_page(chunk));
	size_t size = cm_chunk_size(chunk);

	if (reach_is_translated(dev))
		return 0;
	/* It does no DMA; dma_capable() supposes a mask. */
	if (!dev->dma_mask)
		reach_warn(chunk, dev, "its driver has set none");
	else if (!dma_capable(dev, phys_to_dma(dev, phys), size, false))
		reach_warn(chunk, dev, "give it a context in a lower bank");
	else if (!reach_is_one_range(dev, phys, size))
		reach_warn(chunk, dev,
			   "the chunk lies in two dma-ranges of its bus; give it a context within one");
	else
		return 0;
	return -EIO;
}

/**
 * cm_reach_is_bounced() - tell whether a device was given another place
 * @chunk: the chunk, its place fixed
 * @dev:   the device
 * @table: the chunk, mapped for it
 *
 * Some devices get bounce buffers for all memory, whatever they reach.
 *
 * Return: true when the device would access a bounce buffer; the kernel log
 * says so then.
 */
bool cm_reach_is_bounced(const struct cm_chunk *chunk, struct device *dev,
			 struct sg_table *table)
{
	phys_addr_t phys = page_to_phys(cm_chunk_page(chunk));
	struct scatterlist *sg;
	unsigned int i;

	if (reach_is_translated(dev))
		return false;
	for_each_sgtable_dma_sg(table, sg, i) {
		if (sg_dma_address(sg) != phys_to_dma(dev, phys)) {
			reach_warn(chunk, dev,
				   "but it gets bounce buffers for all memory (swiotlb=force or restricted-dma-pool)");
			return true;
		}
		phys += sg_dma_len(sg);
	}
	return false;
}
