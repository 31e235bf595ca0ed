/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Importer: drivers that use a chunk, and the CPU that takes turns with them.
 */
#ifndef CM_IMPORTER_H
#define CM_IMPORTER_H

#include <linux/dma-buf.h>

#include "chunk.h"

int cm_importer_attach(struct dma_buf *dmabuf,
		       struct dma_buf_attachment *attach);
void cm_importer_detach(struct dma_buf *dmabuf,
			struct dma_buf_attachment *attach);
struct sg_table *cm_importer_map(struct dma_buf_attachment *attach,
				 enum dma_data_direction direction);
void cm_importer_unmap(struct dma_buf_attachment *attach,
		       struct sg_table *table,
		       enum dma_data_direction direction);
int cm_importer_begin_access(struct dma_buf *dmabuf,
			     enum dma_data_direction direction);
int cm_importer_end_access(struct dma_buf *dmabuf,
			   enum dma_data_direction direction);

#endif /* CM_IMPORTER_H */
