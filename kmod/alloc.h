/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Alloc: from a request to a dma-buf.
 */
#ifndef CM_ALLOC_H
#define CM_ALLOC_H

struct cm_alloc;
struct cm_context;
struct cm_owner;
struct dma_buf;

struct dma_buf *cm_alloc(struct cm_context *ctx, const struct cm_owner *owner,
			 struct cm_alloc *req, int access);
void cm_alloc_refuse(struct cm_context *ctx, struct cm_alloc *req);

#endif /* CM_ALLOC_H */
