/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mapping: a chunk in user space.
 */
#ifndef CM_MAPPING_H
#define CM_MAPPING_H

#include "chunk.h"

struct vm_area_struct;

int cm_mapping_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma);
void cm_mapping_remove(struct cm_chunk *chunk);

#endif /* CM_MAPPING_H */
