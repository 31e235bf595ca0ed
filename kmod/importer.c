// SPDX-License-Identifier: GPL-2.0
/*
 * Importer: drivers that use a chunk, and the CPU that takes turns with them.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "importer.h"
#include "reach.h"

/**
 * struct cm_attachment - a driver that imports a chunk
 * @segment: length of an entry of @table but the last, in bytes
 * @table:   the chunk, as one entry if @segment allows
 */
struct cm_attachment {
	unsigned long segment;
	struct sg_table table;
};

/*
 * A limit that the driver states is kept. Most drivers that want contiguous
 * memory state none: the DMA API supposes 64 KiB then, but what they expect is
 * one entry, which every exporter of contiguous memory gives them.
 */
static unsigned long importer_segment_limit(struct device *dev)
{
	const struct device_dma_parameters *parms = dev->dma_parms;

	if (!parms || !parms->max_segment_size)
		return UINT_MAX & PAGE_MASK;
	return max_t(unsigned long, parms->max_segment_size & PAGE_MASK,
		     PAGE_SIZE);
}

static void importer_fill_table(struct cm_attachment *att,
				const struct cm_chunk *chunk)
{
	unsigned long pfn = chunk->extent.start, left = cm_chunk_size(chunk);
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(&att->table, sg, i) {
		unsigned long length = min(left, att->segment);

		sg_set_page(sg, pfn_to_page(pfn), length, 0);
		pfn += length >> PAGE_SHIFT;
		left -= length;
	}
}

static void importer_count_import(struct cm_chunk *chunk, int change)
{
	down_write(&chunk->lock);
	cm_context_lock(chunk->ctx);
	chunk->imports += change;
	cm_context_unlock(chunk->ctx);
	up_write(&chunk->lock);
}

/**
 * cm_importer_attach() - a driver takes note of a chunk
 * @dmabuf: the chunk's
 * @attach: the driver's
 *
 * Return: 0 or ENOMEM.
 */
int cm_importer_attach(struct dma_buf *dmabuf,
		       struct dma_buf_attachment *attach)
{
	struct cm_chunk *chunk = dmabuf->priv;
	struct cm_attachment *att;
	int ret;

	att = kzalloc(sizeof(*att), GFP_KERNEL);
	if (!att)
		return -ENOMEM;
	att->segment = importer_segment_limit(attach->dev);
	ret = sg_alloc_table(&att->table, (cm_chunk_size(chunk) - 1) / att->segment + 1,
			     GFP_KERNEL);
	if (ret) {
		kfree(att);
		return ret;
	}
	attach->priv = att;
	importer_count_import(chunk, 1);
	return 0;
}

/**
 * cm_importer_detach() - undo cm_importer_attach()
 * @dmabuf: the chunk's
 * @attach: the driver's
 */
void cm_importer_detach(struct dma_buf *dmabuf,
			struct dma_buf_attachment *attach)
{
	struct cm_chunk *chunk = dmabuf->priv;
	struct cm_attachment *att = attach->priv;

	importer_count_import(chunk, -1);
	sg_free_table(&att->table);
	kfree(att);
}

static int importer_map_attachment(struct cm_chunk *chunk,
				   struct dma_buf_attachment *attach,
				   enum dma_data_direction direction)
{
	struct cm_attachment *att = attach->priv;
	struct device *dev = attach->dev;
	int ret;

	ret = cm_reach_check(chunk, dev);
	if (ret)
		return ret;
	/* Only now: an attached driver that maps nothing does not fix the place. */
	importer_fill_table(att, chunk);
	/*
	 * Synced by the module's own device, see sync.c: what the least coherent
	 * one needs. A sync for a device that only writes would, on older kernels
	 * and ARMv7, drop what the CPU writes meanwhile.
	 */
	ret = dma_map_sgtable(dev, &att->table, direction,
			      DMA_ATTR_SKIP_CPU_SYNC);
	if (ret)
		return ret;
	if (cm_reach_is_bounced(chunk, dev, &att->table)) {
		dma_unmap_sgtable(dev, &att->table, direction,
				  DMA_ATTR_SKIP_CPU_SYNC);
		return -EIO;
	}
	cm_chunk_sync(chunk, false);
	return 0;
}

/**
 * cm_importer_map() - map a chunk for a driver's device, which fixes its place
 * @attach:    the driver's
 * @direction: what the device does
 *
 * Return: the table, or ERR_PTR(): ESTALE when the chunk was freed, EIO when the
 * device does not reach it, ENOMEM.
 */
struct sg_table *cm_importer_map(struct dma_buf_attachment *attach,
				 enum dma_data_direction direction)
{
	struct cm_chunk *chunk = attach->dmabuf->priv;
	struct cm_attachment *att = attach->priv;
	int ret = -ESTALE;

	/* Not refused when attached: videobuf2 of 6.12 leaks the dma-buf then. */
	down_write(&chunk->lock);
	if (!chunk->freed)
		ret = importer_map_attachment(chunk, attach, direction);
	if (!ret)
		cm_chunk_hold(chunk, &chunk->maps);
	up_write(&chunk->lock);
	return ret ? ERR_PTR(ret) : &att->table;
}

/**
 * cm_importer_unmap() - undo cm_importer_map()
 * @attach:    the driver's
 * @table:     what that returned
 * @direction: the same
 */
void cm_importer_unmap(struct dma_buf_attachment *attach,
		       struct sg_table *table,
		       enum dma_data_direction direction)
{
	struct cm_chunk *chunk = attach->dmabuf->priv;

	down_write(&chunk->lock);
	dma_unmap_sgtable(attach->dev, table, direction, DMA_ATTR_SKIP_CPU_SYNC);
	if (direction != DMA_TO_DEVICE)
		cm_chunk_sync(chunk, true);
	cm_chunk_unhold(chunk, &chunk->maps);
	up_write(&chunk->lock);
}

/*
 * Nothing is synced for a chunk that no device can have: it is the CPU's, until
 * PIN or a driver's mapping hands it over, and again after the last of them.
 */
static int importer_access(struct dma_buf *dmabuf, bool begin)
{
	struct cm_chunk *chunk = dmabuf->priv;
	int ret = 0;

	down_read(&chunk->lock);
	if (chunk->freed)
		ret = -ESTALE;
	if (!ret && chunk->vaddr && !begin)
		flush_kernel_vmap_range(chunk->vaddr, cm_chunk_size(chunk));
	if (!ret && cm_chunk_is_handed_over(chunk))
		cm_chunk_sync(chunk, begin);
	if (!ret && chunk->vaddr && begin)
		invalidate_kernel_vmap_range(chunk->vaddr, cm_chunk_size(chunk));
	up_read(&chunk->lock);
	return ret;
}

/**
 * cm_importer_begin_access() - let the CPU see what devices wrote
 * @dmabuf:    the chunk's
 * @direction: what the CPU does
 *
 * Return: 0, or ESTALE when the chunk was freed.
 */
int cm_importer_begin_access(struct dma_buf *dmabuf,
			     enum dma_data_direction direction)
{
	return importer_access(dmabuf, true);
}

/**
 * cm_importer_end_access() - let devices see what the CPU wrote
 * @dmabuf:    the chunk's
 * @direction: what the CPU did
 *
 * Return: 0, or ESTALE when the chunk was freed.
 */
int cm_importer_end_access(struct dma_buf *dmabuf,
			   enum dma_data_direction direction)
{
	return importer_access(dmabuf, false);
}
