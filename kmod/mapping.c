// SPDX-License-Identifier: GPL-2.0
/*
 * Mapping: a chunk in user space.
 *
 * Backed by struct pages, so that pagemap, O_DIRECT and ptrace work; mappings by
 * page frame number read back as absent there.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "mapping.h"

/*
 * Let new entries of a writable mapping be writable, young and dirty. A core
 * without hardware dirty state would fault at the first write to each page to
 * learn that, and nobody needs to: the pages are never written back.
 *
 * Here, since mmap_region() and mprotect() set the protection anew. Several
 * faults may do this at once, with the same result.
 */
static void mapping_make_dirty(struct vm_area_struct *vma)
{
	pte_t entry = pfn_pte(0, vma->vm_page_prot);

	if (vma->vm_flags & VM_WRITE)
		WRITE_ONCE(vma->vm_page_prot,
			   __pgprot(pte_val(pte_mkdirty(pte_mkyoung(entry)))));
}

/*
 * Map pages from @address to the end of the mapping, or to the first one that
 * is there already. Many at a time, because a fault per page is what makes
 * large buffers slow.
 */
static int mapping_populate(struct vm_area_struct *vma, struct cm_chunk *chunk,
			    unsigned long address)
{
	struct page *pages[32];
	int ret = 0;

	while (!ret && address < vma->vm_end && !fatal_signal_pending(current)) {
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
 * cm_dmabuf_free() either finds them there or is seen here.
 */
static vm_fault_t mapping_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct cm_chunk *chunk = vma->vm_private_data;
	int ret;

	down_read(&chunk->lock);
	if (chunk->freed || vmf->pgoff >= chunk->extent.count) {
		up_read(&chunk->lock);
		return VM_FAULT_SIGBUS;
	}
	mapping_make_dirty(vma);
	ret = mapping_populate(vma, chunk, vma->vm_start);
	if (ret == -EBUSY)
		ret = mapping_populate(vma, chunk, vmf->address & PAGE_MASK);
	up_read(&chunk->lock);

	/* Without a page, an access from within the kernel would fault for ever. */
	if (!ret && fatal_signal_pending(current))
		return VM_FAULT_SIGBUS;
	if (ret && ret != -EBUSY)
		return vmf_error(ret);
	return VM_FAULT_NOPAGE;
}

static void mapping_open(struct vm_area_struct *vma)
{
	struct cm_chunk *chunk = vma->vm_private_data;

	atomic_inc(&chunk->mappings);
}

static void mapping_close(struct vm_area_struct *vma)
{
	struct cm_chunk *chunk = vma->vm_private_data;

	atomic_dec(&chunk->mappings);
}

static const struct vm_operations_struct mapping_vm_ops = {
	.open = mapping_open,
	.close = mapping_close,
	.fault = mapping_fault,
};

/**
 * cm_mapping_mmap() - map a chunk for user space
 * @dmabuf: the chunk's
 * @vma:    of the caller
 *
 * Return: 0; EINVAL for a private mapping, ESTALE when the chunk was freed.
 */
int cm_mapping_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct cm_chunk *chunk = dmabuf->priv;

	/*
	 * A private mapping would show the writer a copy and nobody else. A shared
	 * one of a descriptor that is not open for writing is not VM_SHARED.
	 */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;

	/* One that is freed from now on has mappings that raise SIGBUS. */
	if (READ_ONCE(chunk->freed))
		return -ESTALE;

	/* Growing by mremap() would reach past the chunk (CVE-2024-46852). */
	cm_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_MIXEDMAP);
	vma->vm_ops = &mapping_vm_ops;
	vma->vm_private_data = chunk;
	mapping_open(vma);
	return 0;
}

/**
 * cm_mapping_remove() - remove every mapping of a chunk in user space
 * @chunk: a chunk, its lock held for writing
 *
 * By way of the inode: the dma-buf's file may be gone by now, while somebody
 * who looked it up in /proc keeps the dma-buf.
 */
void cm_mapping_remove(struct cm_chunk *chunk)
{
	lockdep_assert_held_write(&chunk->lock);
	if (chunk->dmabuf)
		unmap_mapping_range(chunk->inode->i_mapping, 0, 0, 1);
}
