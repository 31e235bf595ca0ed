/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between kernels, and nothing else. Built and tried with those of
 * Debian 11 to 14: 5.10, 6.1, 6.12 and 7.2.
 */
#ifndef CM_COMPAT_H
#define CM_COMPAT_H

#include <linux/cma.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/sched.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <uapi/linux/sched/types.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
#include <linux/iosys-map.h>
#endif

#ifndef CONFIG_CONTIG_ALLOC
#error "cm needs a kernel with CONFIG_CONTIG_ALLOC (CONFIG_CMA selects it)"
#endif
#ifndef CONFIG_CMA
#error "cm needs a kernel with CONFIG_CMA"
#endif
#ifndef CONFIG_DMA_CMA
#error "cm needs a kernel with CONFIG_DMA_CMA"
#endif
#ifndef CONFIG_DMA_SHARED_BUFFER
#error "cm needs a kernel with CONFIG_DMA_SHARED_BUFFER"
#endif

/*
 * Page frames that a reusable bank must begin and end at a multiple of. Old
 * kernels isolate more than a pageblock around what is taken, which must not
 * reach out of the bank.
 */
#ifdef CMA_MIN_ALIGNMENT_PAGES
#define CM_BANK_ALIGN	CMA_MIN_ALIGNMENT_PAGES
#else
#define CM_BANK_ALIGN	max_t(unsigned long, MAX_ORDER_NR_PAGES, \
			      pageblock_nr_pages)
#endif

/* Take the pages [start, start + count) of a CMA pageblock range. */
static inline int cm_take_pages(unsigned long start, unsigned long count)
{
#ifdef ACR_FLAGS_CMA
	const acr_flags_t kind = ACR_FLAGS_CMA;
#else
	const unsigned int kind = MIGRATE_CMA;
#endif

	return alloc_contig_range(start, start + count, kind,
				  GFP_KERNEL | __GFP_NOWARN);
}

/*
 * Whether those pages are zero: since 5.14 init_on_alloc clears them there, too.
 * Not relied on before 6.0, the next one that this module is tried with.
 */
static inline bool cm_taken_pages_are_zero(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 0, 0)
	return want_init_on_alloc(GFP_KERNEL) && !want_init_on_free();
#else
	return false;
#endif
}

/*
 * Old kernels export no way to SCHED_IDLE; and where spinlocks sleep, who has one
 * must get to run.
 */
static inline void cm_set_idle_priority(struct task_struct *task)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 0, 0) && !defined(CONFIG_PREEMPT_RT)
	const struct sched_attr idle = { .sched_policy = SCHED_IDLE };

	sched_setattr_nocheck(task, &idle);
#else
	sched_set_normal(task, MAX_NICE);
#endif
}

static inline void cm_vm_flags_set(struct vm_area_struct *vma,
				   unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/* Whether every device that left a fence on a dma-buf has finished with it. */
static inline bool cm_fences_are_signalled(struct dma_resv *resv)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 19, 0)
	return dma_resv_test_signaled(resv, DMA_RESV_USAGE_BOOKKEEP);
#else
	return dma_resv_test_signaled_rcu(resv, true);
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
#define kmap_local_page(page)	kmap_atomic(page)
#define kunmap_local(address)	kunmap_atomic(address)
#endif

/* A shrinker, which kernels since 6.7 allocate. Zeroed, it may be unregistered. */
struct cm_shrinker {
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	struct shrinker *shrinker;
#else
	struct shrinker shrinker;
#endif
};

static inline struct cm_shrinker *cm_shrinker_of(struct shrinker *shrinker)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	return shrinker->private_data;
#else
	return container_of(shrinker, struct cm_shrinker, shrinker);
#endif
}

static inline int
cm_shrinker_register(struct cm_shrinker *self, const char *name,
		     unsigned long (*count)(struct shrinker *shrinker,
					    struct shrink_control *control),
		     unsigned long (*scan)(struct shrinker *shrinker,
					   struct shrink_control *control))
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	self->shrinker = shrinker_alloc(0, "cm-%s", name);
	if (!self->shrinker)
		return -ENOMEM;
	self->shrinker->private_data = self;
	self->shrinker->count_objects = count;
	self->shrinker->scan_objects = scan;
	shrinker_register(self->shrinker);
	return 0;
#else
	self->shrinker.seeks = DEFAULT_SEEKS;
	self->shrinker.count_objects = count;
	self->shrinker.scan_objects = scan;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 0, 0)
	return register_shrinker(&self->shrinker, "cm-%s", name);
#else
	return register_shrinker(&self->shrinker);
#endif
#endif
}

static inline void cm_shrinker_unregister(struct cm_shrinker *self)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	shrinker_free(self->shrinker);
	self->shrinker = NULL;
#else
	/* The kernel clears it, and knows by it one that is registered. */
	if (self->shrinker.nr_deferred)
		unregister_shrinker(&self->shrinker);
#endif
}

/* The device that &class.devnode() is given. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define CM_DEVNODE_DEVICE	const struct device
#else
#define CM_DEVNODE_DEVICE	struct device
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define CM_IMPORT_NS(ns)	MODULE_IMPORT_NS(#ns)
#else
#define CM_IMPORT_NS(ns)	MODULE_IMPORT_NS(ns)
#endif

/* Since 6.2 callers say whether they hold the reservation lock. We never do. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define dma_buf_map_attachment_unlocked		dma_buf_map_attachment
#define dma_buf_unmap_attachment_unlocked	dma_buf_unmap_attachment
#define dma_buf_vmap_unlocked			dma_buf_vmap
#define dma_buf_vunmap_unlocked			dma_buf_vunmap
#endif

/*
 * Map a dma-buf for the kernel, and undo that. An ERR_PTR() is returned:
 * EOPNOTSUPP when it cannot be mapped or is not ordinary memory.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
static inline void *cm_vmap(struct dma_buf *dmabuf)
{
	struct iosys_map map;
	int ret = dma_buf_vmap_unlocked(dmabuf, &map);

	if (ret)
		return ERR_PTR(ret == -EINVAL ? -EOPNOTSUPP : ret);
	if (!map.is_iomem)
		return map.vaddr;
	dma_buf_vunmap_unlocked(dmabuf, &map);
	return ERR_PTR(-EOPNOTSUPP);
}

static inline void cm_vunmap(struct dma_buf *dmabuf, void *vaddr)
{
	struct iosys_map map = IOSYS_MAP_INIT_VADDR(vaddr);

	dma_buf_vunmap_unlocked(dmabuf, &map);
}
#else
static inline void *cm_vmap(struct dma_buf *dmabuf)
{
	/* NULL, whatever went wrong. */
	return dma_buf_vmap(dmabuf) ?:
	       ERR_PTR(dmabuf->ops->vmap ? -ENOMEM : -EOPNOTSUPP);
}

static inline void cm_vunmap(struct dma_buf *dmabuf, void *vaddr)
{
	dma_buf_vunmap(dmabuf, vaddr);
}
#endif

/*
 * Define map_op() and unmap_op(), the kernel's way to call two functions of an
 * exporter: @map returns an address or an ERR_PTR().
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
#define CM_VMAP_OPS(map, unmap)						\
static int map##_op(struct dma_buf *dmabuf, struct iosys_map *address)	\
{									\
	void *vaddr = map(dmabuf);					\
									\
	if (IS_ERR(vaddr))						\
		return PTR_ERR(vaddr);					\
	iosys_map_set_vaddr(address, vaddr);				\
	return 0;							\
}									\
									\
static void unmap##_op(struct dma_buf *dmabuf, struct iosys_map *address) \
{									\
	unmap(dmabuf);							\
}
#else
/* The kernel warns of anything but NULL. */
#define CM_VMAP_OPS(map, unmap)						\
static void *map##_op(struct dma_buf *dmabuf)				\
{									\
	void *vaddr = map(dmabuf);					\
									\
	return IS_ERR(vaddr) ? NULL : vaddr;				\
}									\
									\
static void unmap##_op(struct dma_buf *dmabuf, void *vaddr)		\
{									\
	unmap(dmabuf);							\
}
#endif

#endif /* CM_COMPAT_H */
