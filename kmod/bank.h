/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bank: a physical range that the device tree sets aside.
 */
#ifndef CM_BANK_H
#define CM_BANK_H

#include <linux/list.h>
#include <linux/types.h>

#include "turn.h"

struct cm_obstacles;
struct cm_wish;
struct device;
struct device_node;

/**
 * struct cm_bank - a range of /reserved-memory, or a part of one
 * @node:      in the list of all banks in use
 * @name:      name of its device tree node
 * @start:     first page frame number
 * @count:     number of page frames
 * @reusable:  the system uses the pages until they are taken
 * @migrating: held while pages are taken: two alloc_contig_range() calls that
 *             touch the same pageblock make each other fail with EBUSY
 */
struct cm_bank {
	struct list_head node;
	const char *name;
	unsigned long start;
	unsigned long count;
	bool reusable;
	struct cm_turn migrating;
};

struct device_node *cm_bank_find(const char *name);
int cm_bank_claim(struct cm_bank *bank, struct device *dev,
		  const struct cm_wish *wish);
void cm_bank_release(struct cm_bank *bank);

int cm_bank_take_some(struct cm_bank *bank, unsigned long start,
		      unsigned long *count, u64 deadline,
		      struct cm_obstacles *obstacles);
int cm_bank_take(struct cm_bank *bank, unsigned long start, unsigned long count,
		 u64 deadline, struct cm_obstacles *obstacles);
void cm_bank_give(struct cm_bank *bank, unsigned long start, unsigned long count);

#endif /* CM_BANK_H */
