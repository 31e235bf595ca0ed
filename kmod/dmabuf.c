// SPDX-License-Identifier: GPL-2.0
/*
 * dma-buf: attaching, mapping, CPU access and user mappings of a chunk.
 *
 * A user mapping is backed by struct pages, so that pagemap, O_DIRECT and
 * ptrace work; mappings by page frame number read back as absent there.
 */
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "dmabuf.h"
#include "reach.h"
#include "trace.h"

/**
 * struct cm_attachment - a driver that imports a chunk
 * @node:      in &cm_chunk.attachments
 * @dev:       the driver's device
 * @segment:   length of an entry of @table but the last, in bytes
 * @table:     the chunk, as one entry if @segment allows
 * @mapped:    @table is mapped for @dev
 * @direction: in which direction it is mapped
 */
struct cm_attachment {
	struct list_head node;
	struct device *dev;
	unsigned long segment;
	struct sg_table table;
	bool mapped;
	enum dma_data_direction direction;
};

/*
 * A limit that the driver states is kept. Most drivers that want contiguous
 * memory state none: the DMA API supposes 64 KiB then, but what they expect is
 * one entry, which every exporter of contiguous memory gives them.
 */
static unsigned long dmabuf_segment_limit(struct device *dev)
{
	const struct device_dma_parameters *parms = dev->dma_parms;

	if (!parms || !parms->max_segment_size)
		return UINT_MAX & PAGE_MASK;
	return max_t(unsigned long, parms->max_segment_size & PAGE_MASK,
		     PAGE_SIZE);
}

static int dmabuf_alloc_table(struct cm_attachment *att, size_t size)
{
	att->segment = dmabuf_segment_limit(att->dev);
	return sg_alloc_table(&att->table, (size - 1) / att->segment + 1,
			      GFP_KERNEL);
}

static void dmabuf_fill_table(struct cm_attachment *att, const struct cm_chunk *chunk)
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

static void dmabuf_count_import(struct cm_chunk *chunk, int change)
{
	cm_context_lock(chunk->ctx);
	chunk->imports += change;
	cm_context_unlock(chunk->ctx);
}

static int cm_dmabuf_attach(struct dma_buf *dmabuf,
			    struct dma_buf_attachment *attach)
{
	struct cm_chunk *chunk = dmabuf->priv;
	struct cm_attachment *att;
	int ret;

	att = kzalloc(sizeof(*att), GFP_KERNEL);
	if (!att)
		return -ENOMEM;
	att->dev = attach->dev;
	ret = dmabuf_alloc_table(att, cm_chunk_size(chunk));
	if (ret)
		goto free_attachment;

	down_write(&chunk->lock);
	list_add(&att->node, &chunk->attachments);
	dmabuf_count_import(chunk, 1);
	attach->priv = att;
	up_write(&chunk->lock);
	return 0;

free_attachment:
	kfree(att);
	return ret;
}

static void cm_dmabuf_detach(struct dma_buf *dmabuf,
			     struct dma_buf_attachment *attach)
{
	struct cm_chunk *chunk = dmabuf->priv;
	struct cm_attachment *att = attach->priv;

	down_write(&chunk->lock);
	list_del(&att->node);
	dmabuf_count_import(chunk, -1);
	up_write(&chunk->lock);
	sg_free_table(&att->table);
	kfree(att);
}

static void dmabuf_trace_sync(struct cm_chunk *chunk,
			      const struct cm_attachment *att, bool for_device)
{
	struct cm_context *ctx = chunk->ctx;

	trace_cm_sync(dev_name(&ctx->dev), chunk->id,
		      (u64)(chunk->extent.start - ctx->pool.bank.start) << PAGE_SHIFT,
		      cm_chunk_size(chunk), dev_name(att->dev), for_device);
}

static int dmabuf_map_attachment(struct cm_chunk *chunk, struct cm_attachment *att,
			  enum dma_data_direction direction)
{
	int ret;

	ret = cm_reach_check(chunk, att->dev);
	if (ret)
		return ret;
	/* Only now: an attached driver that maps nothing does not fix the place. */
	dmabuf_fill_table(att, chunk);
	/*
	 * Synced explicitly: the chunk is mapped for more than one device, and
	 * the DMA API takes overlapping mappings only without an implied sync.
	 */
	ret = dma_map_sgtable(att->dev, &att->table, direction,
			      DMA_ATTR_SKIP_CPU_SYNC);
	if (ret)
		return ret;
	if (cm_reach_is_bounced(chunk, att->dev, &att->table)) {
		dma_unmap_sgtable(att->dev, &att->table, direction,
				  DMA_ATTR_SKIP_CPU_SYNC);
		return -EIO;
	}
	/*
	 * Before older kernels drop what the CPU wrote, for a device that only
	 * writes, it is in memory: the device may write less than all of it.
	 * And a coherent device's sync does nothing, though others that import
	 * the chunk may not be coherent.
	 */
	cm_chunk_sync_for_device(chunk, chunk->extent.start);
	dmabuf_trace_sync(chunk, att, true);
	dma_sync_sgtable_for_device(att->dev, &att->table, direction);
	return 0;
}

static struct sg_table *cm_dmabuf_map(struct dma_buf_attachment *attach,
				      enum dma_data_direction direction)
{
	struct cm_chunk *chunk = attach->dmabuf->priv;
	struct cm_attachment *att = attach->priv;
	int ret;

	/* Not refused when attached: videobuf2 of 6.12 leaks the dma-buf then. */
	down_write(&chunk->lock);
	ret = chunk->freed ? -ESTALE : dmabuf_map_attachment(chunk, att, direction);
	if (!ret) {
		att->mapped = true;
		att->direction = direction;
		cm_chunk_hold(chunk, &chunk->maps);
	}
	up_write(&chunk->lock);
	return ret ? ERR_PTR(ret) : &att->table;
}

static void cm_dmabuf_unmap(struct dma_buf_attachment *attach,
			    struct sg_table *table,
			    enum dma_data_direction direction)
{
	struct cm_chunk *chunk = attach->dmabuf->priv;
	struct cm_attachment *att = attach->priv;

	down_write(&chunk->lock);
	dmabuf_trace_sync(chunk, att, false);
	dma_sync_sgtable_for_cpu(att->dev, table, direction);
	dma_unmap_sgtable(att->dev, table, direction, DMA_ATTR_SKIP_CPU_SYNC);
	att->mapped = false;
	cm_chunk_unhold(chunk, &chunk->maps);
	up_write(&chunk->lock);
}

/*
 * Importers are synced, and always the module's own device: a processor that
 * was told the physical address imports nothing, yet must see what the CPU
 * wrote. What another CPU user has not written back yet must not be dropped,
 * so that is written back first.
 */
static void dmabuf_begin(struct cm_chunk *chunk)
{
	struct cm_attachment *att;

	cm_chunk_sync_for_device(chunk, chunk->extent.start);
	list_for_each_entry(att, &chunk->attachments, node) {
		if (!att->mapped)
			continue;
		dmabuf_trace_sync(chunk, att, false);
		dma_sync_sgtable_for_cpu(att->dev, &att->table, att->direction);
	}
	cm_chunk_sync_for_cpu(chunk);
	if (chunk->vmaps)
		invalidate_kernel_vmap_range(chunk->vaddr, cm_chunk_size(chunk));
}

/*
 * After the module's own device has been synced there is nothing left that an
 * importer's sync for a device that only writes could drop.
 */
static void dmabuf_end(struct cm_chunk *chunk)
{
	struct cm_attachment *att;

	if (chunk->vmaps)
		flush_kernel_vmap_range(chunk->vaddr, cm_chunk_size(chunk));
	cm_chunk_sync_for_device(chunk, chunk->extent.start);
	list_for_each_entry(att, &chunk->attachments, node) {
		if (!att->mapped)
			continue;
		dmabuf_trace_sync(chunk, att, true);
		dma_sync_sgtable_for_device(att->dev, &att->table,
					    att->direction);
	}
}

static int dmabuf_access(struct dma_buf *dmabuf,
			 void (*sync)(struct cm_chunk *chunk))
{
	struct cm_chunk *chunk = dmabuf->priv;
	int ret = 0;

	down_read(&chunk->lock);
	if (chunk->freed)
		ret = -ESTALE;
	else
		sync(chunk);
	up_read(&chunk->lock);
	return ret;
}

static int cm_dmabuf_begin_cpu_access(struct dma_buf *dmabuf,
				      enum dma_data_direction direction)
{
	return dmabuf_access(dmabuf, dmabuf_begin);
}

static int cm_dmabuf_end_cpu_access(struct dma_buf *dmabuf,
				    enum dma_data_direction direction)
{
	return dmabuf_access(dmabuf, dmabuf_end);
}

/*
 * Map pages from @address to the end of the mapping, or to the first one that
 * is there already. Many at a time, because a fault per page is what makes
 * large buffers slow.
 */
static int dmabuf_populate(struct vm_area_struct *vma, struct cm_chunk *chunk,
		    unsigned long address)
{
	struct page *pages[32];
	int ret = 0;

	while (!ret && address < vma->vm_end) {
		unsigned long index = linear_page_index(vma, address);
		unsigned long batch = min((vma->vm_end - address) >> PAGE_SHIFT,
					  (unsigned long)ARRAY_SIZE(pages));
		unsigned long left = batch, i;

		for (i = 0; i < batch; i++)
			pages[i] = pfn_to_page(chunk->extent.start + index + i);
		ret = vm_insert_pages(vma, address, pages, &left);
		cond_resched();
		address += batch << PAGE_SHIFT;
	}
	return ret;
}

/*
 * The lock is held until the pages are in the page table, so that
 * cm_chunk_free() either finds them there or is seen here.
 */
static vm_fault_t cm_dmabuf_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct cm_chunk *chunk = vma->vm_private_data;
	int ret;

	down_read(&chunk->lock);
	if (chunk->freed || vmf->pgoff >= chunk->extent.count) {
		up_read(&chunk->lock);
		return VM_FAULT_SIGBUS;
	}
	ret = dmabuf_populate(vma, chunk, vma->vm_start);
	if (ret == -EBUSY)
		ret = dmabuf_populate(vma, chunk, vmf->address & PAGE_MASK);
	up_read(&chunk->lock);

	if (ret && ret != -EBUSY)
		return vmf_error(ret);
	return VM_FAULT_NOPAGE;
}

static void cm_dmabuf_vm_open(struct vm_area_struct *vma)
{
	struct cm_chunk *chunk = vma->vm_private_data;

	atomic_inc(&chunk->mappings);
}

static void cm_dmabuf_vm_close(struct vm_area_struct *vma)
{
	struct cm_chunk *chunk = vma->vm_private_data;

	atomic_dec(&chunk->mappings);
}

static const struct vm_operations_struct cm_dmabuf_vm_ops = {
	.open = cm_dmabuf_vm_open,
	.close = cm_dmabuf_vm_close,
	.fault = cm_dmabuf_fault,
};

static int cm_dmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct cm_chunk *chunk = dmabuf->priv;

	/* A private mapping would show the writer a copy and nobody else. */
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;

	/* One that is freed from now on has mappings that raise SIGBUS. */
	if (READ_ONCE(chunk->freed))
		return -ESTALE;

	/* Growing by mremap() would reach past the chunk (CVE-2024-46852). */
	cm_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_MIXEDMAP);
	vma->vm_ops = &cm_dmabuf_vm_ops;
	vma->vm_private_data = chunk;
	cm_dmabuf_vm_open(vma);
	return 0;
}

static void *dmabuf_map_kernel(struct cm_chunk *chunk)
{
	unsigned long count = chunk->extent.count;
	struct page **pages;
	unsigned long i;
	void *vaddr;

	if (!chunk->blank &&
	    !PageHighMem(pfn_to_page(chunk->extent.start + count - 1)))
		return page_address(cm_chunk_page(chunk));

	pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return NULL;
	for (i = 0; i < count; i++)
		pages[i] = chunk->blank ?: pfn_to_page(chunk->extent.start + i);
	vaddr = vmap(pages, count, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	return vaddr;
}

static void dmabuf_unmap_kernel(struct cm_chunk *chunk)
{
	if (is_vmalloc_addr(chunk->vaddr))
		vunmap(chunk->vaddr);
	chunk->vaddr = NULL;
	if (chunk->blank)
		__free_page(chunk->blank);
	chunk->blank = NULL;
}

/**
 * cm_dmabuf_vmap() - map a chunk for the kernel
 * @dmabuf: the chunk's
 *
 * Called by the kernel's dma-buf code, by way of cm_vmap_op(). The kernel takes
 * an error for a bug in the exporter, and warns of it. Drivers map when a
 * buffer is queued, which may be one that was freed: they are given a page of
 * its own, again and again.
 *
 * Return: the address, or ERR_PTR(): ENOMEM.
 */
void *cm_dmabuf_vmap(struct dma_buf *dmabuf)
{
	struct cm_chunk *chunk = dmabuf->priv;
	void *vaddr = ERR_PTR(-ENOMEM);

	down_write(&chunk->lock);
	if (!chunk->vmaps) {
		if (chunk->freed)
			chunk->blank = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!chunk->freed || chunk->blank)
			chunk->vaddr = dmabuf_map_kernel(chunk);
	}
	if (chunk->vaddr) {
		chunk->vmaps++;
		if (!chunk->freed)
			cm_chunk_hold(chunk, &chunk->maps);
		vaddr = chunk->vaddr;
	} else {
		dmabuf_unmap_kernel(chunk);
	}
	up_write(&chunk->lock);
	return vaddr;
}

/**
 * cm_dmabuf_vunmap() - undo one cm_dmabuf_vmap()
 * @dmabuf: the chunk's
 */
void cm_dmabuf_vunmap(struct dma_buf *dmabuf)
{
	struct cm_chunk *chunk = dmabuf->priv;

	down_write(&chunk->lock);
	/* One that is mapped cannot be freed, so it was or was not then, too. */
	if (!chunk->freed)
		cm_chunk_unhold(chunk, &chunk->maps);
	if (!--chunk->vmaps)
		dmabuf_unmap_kernel(chunk);
	up_write(&chunk->lock);
}

static void cm_dmabuf_release(struct dma_buf *dmabuf)
{
	struct cm_chunk *chunk = dmabuf->priv;

	if (cm_chunk_retire(chunk))
		cm_chunk_release(chunk);
	iput(chunk->inode);
	cm_chunk_put(chunk);
}

static const struct dma_buf_ops cm_dmabuf_ops = {
	.attach = cm_dmabuf_attach,
	.detach = cm_dmabuf_detach,
	.map_dma_buf = cm_dmabuf_map,
	.unmap_dma_buf = cm_dmabuf_unmap,
	.begin_cpu_access = cm_dmabuf_begin_cpu_access,
	.end_cpu_access = cm_dmabuf_end_cpu_access,
	.mmap = cm_dmabuf_mmap,
	.vmap = cm_vmap_op,
	.vunmap = cm_vunmap_op,
	.release = cm_dmabuf_release,
};

/**
 * cm_dmabuf_export() - make the dma-buf of a chunk
 * @chunk: the chunk; on success the dma-buf has a reference of its own, and the
 *         memory's is what the caller had
 *
 * Return: 0, or an error when there is no memory.
 */
int cm_dmabuf_export(struct cm_chunk *chunk)
{
	struct dma_buf *dmabuf;
	DEFINE_DMA_BUF_EXPORT_INFO(info);

	info.exp_name = KBUILD_MODNAME;
	info.ops = &cm_dmabuf_ops;
	info.size = cm_chunk_size(chunk);
	info.flags = O_RDWR;
	info.priv = chunk;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ihold(file_inode(dmabuf->file));
	cm_chunk_get(chunk);
	down_write(&chunk->lock);
	cm_context_lock(chunk->ctx);
	chunk->inode = file_inode(dmabuf->file);
	chunk->dmabuf = dmabuf;
	chunk->ctx->chunks++;
	cm_context_unlock(chunk->ctx);
	up_write(&chunk->lock);
	return 0;
}

/**
 * cm_dmabuf_unmap_users() - remove every mapping of a chunk in user space
 * @chunk: a chunk, its lock held for writing
 *
 * By way of the inode: the dma-buf's file may be gone by now, while somebody
 * who looked it up in /proc keeps the dma-buf.
 */
void cm_dmabuf_unmap_users(struct cm_chunk *chunk)
{
	lockdep_assert_held_write(&chunk->lock);
	if (chunk->dmabuf)
		unmap_mapping_range(chunk->inode->i_mapping, 0, 0, 1);
}

/**
 * cm_dmabuf_is_in_use() - whether a device may still access a chunk
 * @chunk: a chunk, its lock held for writing
 *
 * By a fence that an importer has left: it need not wait for that before it
 * unmaps.
 *
 * Return: whether.
 */
bool cm_dmabuf_is_in_use(struct cm_chunk *chunk)
{
	lockdep_assert_held_write(&chunk->lock);
	return chunk->dmabuf && !cm_fences_are_signalled(chunk->dmabuf->resv);
}

/**
 * cm_dmabuf_free() - give a chunk's memory back before its descriptors go
 * @chunk: the chunk
 *
 * Return: 0; ESTALE when that was done before, EBUSY when it is in use, EINTR
 * when a fatal signal is pending.
 */
int cm_dmabuf_free(struct cm_chunk *chunk)
{
	int ret = down_write_killable(&chunk->lock);

	if (ret)
		return ret;
	if (chunk->freed)
		ret = -ESTALE;
	else if (chunk->pins || chunk->imports || chunk->maps)
		ret = -EBUSY;
	if (!ret) {
		cm_context_lock(chunk->ctx);
		WRITE_ONCE(chunk->freed, true);
		cm_context_unlock(chunk->ctx);
		cm_dmabuf_unmap_users(chunk);
		cm_chunk_release(chunk);
	}
	up_write(&chunk->lock);
	return ret;
}

/**
 * cm_dmabuf_chunk() - the chunk that is behind a dma-buf
 * @dmabuf: any dma-buf
 *
 * Return: the chunk, as long as the dma-buf; NULL when it is not ours.
 */
struct cm_chunk *cm_dmabuf_chunk(struct dma_buf *dmabuf)
{
	return dmabuf->ops == &cm_dmabuf_ops ? dmabuf->priv : NULL;
}

/**
 * cm_dmabuf_get() - find a context's chunk by its descriptor
 * @ctx: the context
 * @fd:  a descriptor of the calling process
 *
 * Return: the chunk's dma-buf, with a reference for the caller, or ERR_PTR():
 * EBADF, EINVAL when it is no dma-buf, EXDEV when it is not of this context.
 */
struct dma_buf *cm_dmabuf_get(struct cm_context *ctx, int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	struct cm_chunk *chunk;

	if (IS_ERR(dmabuf))
		return dmabuf;
	chunk = cm_dmabuf_chunk(dmabuf);
	if (chunk && chunk->ctx == ctx)
		return dmabuf;
	dma_buf_put(dmabuf);
	return ERR_PTR(-EXDEV);
}

CM_IMPORT_NS(DMA_BUF);
