/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sync: handing memory from the CPU to devices and back.
 */
#ifndef CM_SYNC_H
#define CM_SYNC_H

#include <linux/types.h>

struct device;

int cm_sync_init(void);
void cm_sync_exit(void);
struct device *cm_sync_device(void);

int cm_sync_map(unsigned long start, unsigned long count, dma_addr_t *dma);
void cm_sync_unmap(dma_addr_t dma, unsigned long count);
void cm_sync_for_device(dma_addr_t dma, u64 offset, size_t size);
void cm_sync_for_cpu(dma_addr_t dma, u64 offset, size_t size);

#endif /* CM_SYNC_H */
