/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Drain: freed chunks wait here until the last user of their pages is gone; what
 * is spare, until somebody has time to give it back.
 */
#ifndef CM_DRAIN_H
#define CM_DRAIN_H

#include <linux/workqueue.h>

#include "chunk.h"

int cm_drain_init(void);
void cm_drain_exit(void);

void cm_drain(struct cm_chunk *chunk);
void cm_drain_spare(struct cm_chunk *chunk);
void cm_drain_work(struct work_struct *work);

#endif /* CM_DRAIN_H */
