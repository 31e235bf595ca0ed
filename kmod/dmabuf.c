// SPDX-License-Identifier: GPL-2.0
/*
 * dma-buf: how user space and drivers get hold of a chunk.
 */
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "dmabuf.h"
#include "importer.h"
#include "mapping.h"

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

/*
 * The kernel takes an error for a bug in the exporter, and warns of it. Drivers
 * map when a buffer is queued, which may be one that was freed: they are given a
 * page of its own, again and again. Return: the address, or ERR_PTR(-ENOMEM).
 */
static void *dmabuf_vmap(struct dma_buf *dmabuf)
{
	struct cm_chunk *chunk = dmabuf->priv;
	void *vaddr = ERR_PTR(-ENOMEM);

	down_write(&chunk->lock);
	if (chunk->freed)
		chunk->blank = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!chunk->freed || chunk->blank)
		chunk->vaddr = dmabuf_map_kernel(chunk);
	if (chunk->vaddr) {
		if (!chunk->freed)
			cm_chunk_hold(chunk, &chunk->maps);
		vaddr = chunk->vaddr;
	} else {
		dmabuf_unmap_kernel(chunk);
	}
	up_write(&chunk->lock);
	return vaddr;
}

static void dmabuf_vunmap(struct dma_buf *dmabuf)
{
	struct cm_chunk *chunk = dmabuf->priv;

	down_write(&chunk->lock);
	/* One that is mapped cannot be freed, so it was or was not then, too. */
	if (!chunk->freed)
		cm_chunk_unhold(chunk, &chunk->maps);
	dmabuf_unmap_kernel(chunk);
	up_write(&chunk->lock);
}

CM_VMAP_OPS(dmabuf_vmap, dmabuf_vunmap)

static void dmabuf_release(struct dma_buf *dmabuf)
{
	struct cm_chunk *chunk = dmabuf->priv;

	if (cm_chunk_retire(chunk))
		cm_chunk_release(chunk);
	iput(chunk->inode);
	cm_chunk_put(chunk);
}

static const struct dma_buf_ops dmabuf_ops = {
	.attach = cm_importer_attach,
	.detach = cm_importer_detach,
	.map_dma_buf = cm_importer_map,
	.unmap_dma_buf = cm_importer_unmap,
	.begin_cpu_access = cm_importer_begin_access,
	.end_cpu_access = cm_importer_end_access,
	.mmap = cm_mapping_mmap,
	.vmap = dmabuf_vmap_op,
	.vunmap = dmabuf_vunmap_op,
	.release = dmabuf_release,
};

/**
 * cm_dmabuf_export() - make the dma-buf of a chunk
 * @chunk:  the chunk, all zero; on success the dma-buf has a reference of its
 *          own, and the memory's is what the caller had
 * @access: access mode of its file: O_RDWR, O_RDONLY, ...
 *
 * Return: 0, or an error when there is no memory.
 */
int cm_dmabuf_export(struct cm_chunk *chunk, int access)
{
	struct dma_buf *dmabuf;
	DEFINE_DMA_BUF_EXPORT_INFO(info);

	info.exp_name = KBUILD_MODNAME;
	info.ops = &dmabuf_ops;
	info.size = cm_chunk_size(chunk);
	info.flags = access;
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
	/* What is in it is somebody's from now on. */
	cm_bank_note_zero(&chunk->ctx->pool.bank, chunk->extent.start,
			  chunk->extent.count);
	cm_context_unlock(chunk->ctx);
	up_write(&chunk->lock);
	return 0;
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
	else if (chunk->pins || chunk->imports || chunk->maps ||
		 cm_dmabuf_is_in_use(chunk))
		ret = -EBUSY;
	if (!ret) {
		cm_context_lock(chunk->ctx);
		WRITE_ONCE(chunk->freed, true);
		cm_context_unlock(chunk->ctx);
		cm_mapping_remove(chunk);
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
	return dmabuf->ops == &dmabuf_ops ? dmabuf->priv : NULL;
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
