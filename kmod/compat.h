/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between kernels, and nothing else. */
#ifndef CM_COMPAT_H
#define CM_COMPAT_H

#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/mmzone.h>

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

/* Take the pages [start, start + count) of a CMA pageblock range. */
static inline int cm_take_pages(unsigned long start, unsigned long count)
{
	return alloc_contig_range(start, start + count, MIGRATE_CMA,
				  GFP_KERNEL | __GFP_NOWARN);
}

/* Take a reference on a file unless its last one is gone. */
static inline bool cm_get_file_active(struct file **file)
{
	return get_file_active(file);
}

#endif /* CM_COMPAT_H */
