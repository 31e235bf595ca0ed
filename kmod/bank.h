/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bank: a physical range that the device tree sets aside.
 */
#ifndef CM_BANK_H
#define CM_BANK_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/wait.h>

struct device;

/**
 * struct cm_bank - a range of /reserved-memory
 * @node:      in the list of all banks in use
 * @name:      name of its device tree node
 * @start:     first page frame number
 * @count:     number of page frames
 * @reusable:  the system uses the pages until they are taken
 * @migrating: held while pages are taken: two alloc_contig_range() calls that
 *             touch the same pageblock make each other fail with EBUSY
 * @migrated:  wakes those who wait for @migrating
 */
struct cm_bank {
	struct list_head node;
	const char *name;
	unsigned long start;
	unsigned long count;
	bool reusable;
	struct mutex migrating;
	wait_queue_head_t migrated;
};

int cm_bank_claim(struct cm_bank *bank, struct device *dev);
void cm_bank_release(struct cm_bank *bank);

int cm_bank_lock(struct cm_bank *bank, u64 deadline);
void cm_bank_unlock(struct cm_bank *bank);
void cm_bank_step_aside(struct cm_bank *bank);
int cm_bank_take(struct cm_bank *bank, unsigned long start, unsigned long count);
void cm_bank_give(struct cm_bank *bank, unsigned long start, unsigned long count);

#endif /* CM_BANK_H */
