/* SPDX-License-Identifier: GPL-2.0 */
/*
 * dma-buf: how user space and drivers see a chunk.
 */
#ifndef CM_DMABUF_H
#define CM_DMABUF_H

#include <linux/dma-buf.h>

#include "chunk.h"

int cm_dmabuf_export(struct cm_chunk *chunk, int access);
int cm_dmabuf_free(struct cm_chunk *chunk);
bool cm_dmabuf_is_in_use(struct cm_chunk *chunk);
struct cm_chunk *cm_dmabuf_chunk(struct dma_buf *dmabuf);
struct dma_buf *cm_dmabuf_get(struct cm_context *ctx, int fd);

#endif /* CM_DMABUF_H */
