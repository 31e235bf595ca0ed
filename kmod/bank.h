/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bank: a physical range that the device tree sets aside, in granules.
 */
#ifndef CM_BANK_H
#define CM_BANK_H

#include <linux/list.h>
#include <linux/types.h>

struct cm_refusal;
struct cm_spec;
struct device_node;

/**
 * struct cm_granule - the unit in which memory is taken from the system
 * @since: ktime_get_ns() since when it is empty, if @taken and without @users;
 *         since when its pages would not leave, if not @taken; else 0
 * @users: extents of the context's map that reach into it
 * @taken: from the system; always in a bank that is not reusable
 */
struct cm_granule {
	u64 since;
	u32 users;
	bool taken;
};

/**
 * struct cm_bank - a range of /reserved-memory, or a part of one
 * @node:          in the list of all banks in use
 * @name:          name of its device tree node
 * @base:          first page frame number of the whole range
 * @start:         first page frame number
 * @count:         number of page frames
 * @reusable:      the system uses granules that are not taken
 * @order:         a granule has 1 << @order page frames
 * @granules:      all of them, the last one possibly cut short
 * @granule_count: number of @granules
 * @written:       a bit a page: it is taken, may hold anything, and is to be
 *                 cleared before somebody gets it. Clear for the pages of chunks
 *                 that somebody has: anybody may clear where it is set, with the
 *                 lock held or of a chunk of their own
 *
 * Locking of the granules and bits: that of the context.
 */
struct cm_bank {
	struct list_head node;
	const char *name;
	unsigned long base;
	unsigned long start;
	unsigned long count;
	bool reusable;
	unsigned int order;
	struct cm_granule *granules;
	unsigned long granule_count;
	unsigned long *written;
};

static inline struct cm_granule *cm_bank_granule(const struct cm_bank *bank,
						 unsigned long pfn)
{
	return &bank->granules[(pfn - bank->start) >> bank->order];
}

static inline unsigned long cm_bank_granule_start(const struct cm_bank *bank,
						  unsigned long pfn)
{
	return bank->start + ((pfn - bank->start) >> bank->order << bank->order);
}

/* The page frame behind the granule of @pfn. */
static inline unsigned long cm_bank_granule_end(const struct cm_bank *bank,
						unsigned long pfn)
{
	unsigned long index = (pfn - bank->start) >> bank->order;
	unsigned long end = bank->start + ((index + 1) << bank->order);

	/* The first also where the range ends with the last page frame. */
	return end - bank->start < bank->count ? end : bank->start + bank->count;
}

struct device_node *cm_bank_find(const char *name);
int cm_bank_claim(struct cm_bank *bank, const struct cm_spec *spec,
		  struct cm_refusal *why);
void cm_bank_release(struct cm_bank *bank);

bool cm_bank_shares_unit(const struct cm_bank *bank, unsigned long start,
			 unsigned long count);
int cm_bank_take(struct cm_bank *bank, unsigned long start,
		 unsigned long count);
void cm_bank_give(struct cm_bank *bank, unsigned long start,
		  unsigned long count);

void cm_bank_note_written(struct cm_bank *bank, unsigned long start,
			  unsigned long count);
void cm_bank_note_zero(struct cm_bank *bank, unsigned long start,
		       unsigned long count);
unsigned long cm_bank_next_written(const struct cm_bank *bank,
				   unsigned long start, unsigned long end,
				   unsigned long *count);
void cm_bank_clear(unsigned long start, unsigned long count);

#endif /* CM_BANK_H */
