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

bool cm_sync_is_bounced(unsigned long start);
void cm_sync(unsigned long start, unsigned long count, bool for_cpu);

#endif /* CM_SYNC_H */
